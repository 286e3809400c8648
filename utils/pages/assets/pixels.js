// ---- the class and the confidence under the pointer ----
// The pixels of pictures on the disk may not be read by a page; a script beside it may be run. See pages/pixels.py.
let arrived = null;
function pagePixels(data) { arrived = data; }

const loading = new Map();
function pixelsOf(record) {
  if (!record.pixels) return Promise.resolve(null);
  if (!loading.has(record)) {
    loading.set(record, load(record.pixels));
    if (loading.size > 8) loading.delete(loading.keys().next().value);   // what was asked for first goes first
  }
  return loading.get(record);
}

function load(file) {
  return new Promise(resolve => {
    const script = make('script', { src: file });
    script.addEventListener('load', () => { script.remove(); resolve(unpacked(arrived)); });
    script.addEventListener('error', () => { script.remove(); resolve(null); });
    document.head.append(script);
  });
}

async function unpacked({ size: [width, height], planes }) {
  const found = { width, height };
  for (const [name, text] of Object.entries(planes)) {
    const deflated = new Blob([Uint8Array.from(atob(text), letter => letter.charCodeAt(0))]);
    const stream = deflated.stream().pipeThrough(new DecompressionStream('deflate'));
    const plane = new Uint8Array(await new Response(stream).arrayBuffer());
    for (let place = 0; place < plane.length; place++) if (place % width) plane[place] += plane[place - 1];
    found[name] = plane;
  }
  return found;
}

// what is known at a place of an image, given in shares of its width and height
function pixelAt(pixels, [u, v]) {
  const place = Math.floor(v * pixels.height) * pixels.width + Math.floor(u * pixels.width);
  const at = plane => plane && plane[place];
  return { label: at(pixels.label), prediction: at(pixels.prediction), confidence: at(pixels.confidence) };
}

// A box at the pointer that says what is there. locate: event -> the place in the image, or null outside of it.
class Readout {
  constructor(host, record, locate) {
    Object.assign(this, { host, record });
    this.box = make('output', { className: 'readout', hidden: true });
    this.box.setAttribute('aria-live', 'polite');
    host.append(this.box);
    host.addEventListener('pointermove', event => {
      const frame = host.getBoundingClientRect();
      this.show(locate(event), (event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height);
    });
    host.addEventListener('pointerleave', () => this.hide());
  }

  // place: in the image; x, y: where the box stands, in shares of the host
  async show(place, x, y) {
    this.place = place;
    const pixels = place && await pixelsOf(this.record);
    if (this.place !== place) return;                                    // the pointer has moved on
    this.box.hidden = !pixels || place.some(share => share < 0 || share >= 1);
    if (this.box.hidden) return;
    const { label, prediction, confidence } = pixelAt(pixels, place);
    const lines = [];
    if (prediction !== undefined) lines.push(['predicted', prediction, confidence === undefined ? '' : ` ${confidence} %`]);
    if (label !== undefined) lines.push([label < names.length ? 'label' : '', label, '']);
    const [column, row] = [Math.floor(place[0] * this.record.width), Math.floor(place[1] * this.record.height)];
    this.box.replaceChildren(...lines.map(([what, number, more]) => make('span', {}, swatch(number), make('b', { textContent: className(number) + more }), ' ' + what)),
      make('small', { textContent: `x ${column}, y ${row}` }));
    this.box.classList.toggle('wrong', label !== undefined && prediction !== undefined && label < names.length && label !== prediction);
    this.box.classList.toggle('low', y > .5);
    this.box.style.left = `${100 * x}%`;
    this.box.style.top = `${100 * y}%`;
    this.box.style.translate = `${x > .5 ? 'calc(-100% - 12px)' : '12px'} ${y > .5 ? 'calc(-100% - 12px)' : '12px'}`;
  }

  hide() {
    this.place = null;
    this.box.hidden = true;
  }
}
