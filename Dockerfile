# An image with the package, the scripts of the root and scripts/; docs/installing.md says how to build and run it.
#
#   docker build -t unet .                                          with the wheel of torch that pip takes by itself:
#                                                                   on Linux one for CUDA, which runs on CPUs too
#   docker build -t unet --build-arg TORCH_INDEX=... .              with another, such as the small one for CPUs
#
#   docker run -it --rm --shm-size=8g --ulimit memlock=-1 --gpus all -v "$PWD/data:/workspace/unet/data" \
#       -v "$PWD/runs:/workspace/unet/runs" -v "$PWD/checkpoints:/workspace/unet/checkpoints" unet
#
# --shm-size: the processes that read pictures hand them over in /dev/shm, of which a container has 64 MB without it.
# --ulimit memlock: memory that a GPU copies from is locked. --gpus: leave it out on a machine without any.

# Any image with Python 3.10 to 3.13, pip, apt and useradd; CUDA's own libraries come with the wheels.
ARG BASE=python:3.12-slim
FROM ${BASE}

# GDAL in rasterio's and pyogrio's wheels looks for the system's libexpat, which slim images lack.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libexpat1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /workspace/unet

# The index of torch's wheels, as the selector on PyTorch's own site names it; without one, pip's own.
ARG TORCH_INDEX
COPY constraints.txt ./
RUN if [ -n "${TORCH_INDEX}" ]; then \
        pip install --no-cache-dir --no-deps --index-url "${TORCH_INDEX}" "$(grep '^torch==' constraints.txt)"; \
    fi

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY recipes ./recipes
RUN pip install --no-cache-dir -c constraints.txt ".[import,maps,track,viz]"

COPY train.py predict.py evaluate.py hubconf.py ./
COPY scripts ./scripts

# Not root. What is mounted must be writable for user 1000, or for another: docker run --user "$(id -u):$(id -g)".
# That one may have no name and no home, so caches go where anybody may write.
ENV USER=unet XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/cache/matplotlib TORCH_HOME=/tmp/cache/torch
RUN useradd --create-home --uid 1000 unet \
    && mkdir data runs checkpoints \
    && chown unet: data runs checkpoints
USER 1000
VOLUME ["/workspace/unet/data", "/workspace/unet/runs", "/workspace/unet/checkpoints"]

CMD ["bash"]
