// A sheet that can be dragged and zoomed: draws those pieces of the pyramid that are seen, on one canvas.
(() => {
  const TILE = 512;
  const data = JSON.parse(document.getElementById("pyramid").textContent);
  const canvas = document.getElementById("sheet"), pen = canvas.getContext("2d");
  const opacity = document.getElementById("opacity");
  const pieces = new Map(), pointers = new Map();
  let scale = 1, x = 0, y = 0, waiting = false;  // screen pixels per pixel of the sheet; the sheet's corner on the screen

  const least = () => 0.5 * Math.min(canvas.width / data.width, canvas.height / data.height);
  const sharp = () => devicePixelRatio || 1;

  function piece(kind, number, key) {
    const text = data.levels[number][kind][key];
    if (!text) return null;
    const name = kind + number + "/" + key;
    let image = pieces.get(name);
    if (!image) {
      if (pieces.size > 400) pieces.delete(pieces.keys().next().value);
      image = new Image();
      image.onload = later;
      image.src = (kind === "sheet" ? "data:image/jpeg;base64," : "data:image/png;base64,") + text;
      pieces.set(name, image);
    }
    return image.complete && image.naturalWidth ? image : null;
  }

  function layer(kind, number) {
    const level = data.levels[number], by = scale * data.width / level.width, side = TILE * by;
    const first = [Math.max(0, Math.floor(-y / side)), Math.max(0, Math.floor(-x / side))];
    const last = [Math.ceil((canvas.height - y) / side), Math.ceil((canvas.width - x) / side)];
    for (let row = first[0]; row < last[0] && row * TILE < level.height; row++)
      for (let column = first[1]; column < last[1] && column * TILE < level.width; column++) {
        const image = piece(kind, number, row + "/" + column);
        if (!image) continue;
        const left = Math.round(x + column * side), top = Math.round(y + row * side);
        const right = Math.round(x + column * side + image.naturalWidth * by);
        const bottom = Math.round(y + row * side + image.naturalHeight * by);
        pen.drawImage(image, left, top, right - left, bottom - top);
      }
  }

  function draw() {
    waiting = false;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    let number = 0;  // the smallest level that is not shown enlarged
    while (number < data.levels.length - 1 && data.levels[number].width < 0.75 * scale * data.width) number++;
    pen.imageSmoothingEnabled = scale < 2 * sharp();
    for (const kind of ["sheet", "shapes"]) {
      pen.globalAlpha = kind === "sheet" ? 1 : opacity.value / 100;
      if (kind === "sheet" && number > 0) layer(kind, 0);  // until the finer pieces are decoded
      layer(kind, number);
    }
  }

  function later() {
    if (!waiting) { waiting = true; requestAnimationFrame(draw); }
  }

  function zoom(factor, atX, atY) {
    const to = Math.min(16, Math.max(least(), scale * factor));
    x = atX - (atX - x) * to / scale;
    y = atY - (atY - y) * to / scale;
    scale = to;
    later();
  }

  function fit() {
    scale = Math.min(canvas.width / data.width, canvas.height / data.height);
    x = (canvas.width - scale * data.width) / 2;
    y = (canvas.height - scale * data.height) / 2;
    later();
  }

  function middle(factor) { zoom(factor, canvas.width / 2, canvas.height / 2); }

  function resize() {
    const box = canvas.getBoundingClientRect(), fresh = canvas.dataset.ready !== "yes";
    canvas.width = Math.round(box.width * sharp());
    canvas.height = Math.round(box.height * sharp());
    canvas.dataset.ready = "yes";
    fresh ? fit() : later();
  }

  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX * sharp(), event.offsetY * sharp());
  }, { passive: false });
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  });
  canvas.addEventListener("pointermove", event => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY];
    const other = [...pointers].find(([id]) => id !== event.pointerId);
    if (other) {  // two fingers
      const [ox, oy] = other[1];
      const was = Math.hypot(before[0] - ox, before[1] - oy), is = Math.hypot(now[0] - ox, now[1] - oy);
      if (was > 0) zoom(is / was, ox * sharp(), oy * sharp());
    } else {
      x += (now[0] - before[0]) * sharp();
      y += (now[1] - before[1]) * sharp();
      later();
    }
    pointers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, event => pointers.delete(event.pointerId));
  canvas.addEventListener("dblclick", event => zoom(2, event.offsetX * sharp(), event.offsetY * sharp()));
  canvas.addEventListener("keydown", event => {
    const step = 80 * sharp();
    const keys = {
      "+": () => middle(1.5), "=": () => middle(1.5), "-": () => middle(1 / 1.5), "0": fit,
      ArrowLeft: () => { x += step; }, ArrowRight: () => { x -= step; },
      ArrowUp: () => { y += step; }, ArrowDown: () => { y -= step; },
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
    later();
  });
  document.getElementById("closer").addEventListener("click", () => middle(1.5));
  document.getElementById("farther").addEventListener("click", () => middle(1 / 1.5));
  document.getElementById("whole").addEventListener("click", fit);
  opacity.addEventListener("input", later);
  new ResizeObserver(resize).observe(canvas);
})();
