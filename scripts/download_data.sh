#!/bin/sh
# Carvana's pictures and masks into data/imgs and data/masks; see download_data.py beside it.
exec "${PYTHON:-python3}" "$(dirname "$0")/download_data.py" "$@"
