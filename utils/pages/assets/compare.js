// ---- two layers of one image under a slider ----
class Compare {
  constructor(record, onchange = () => {}) {
    this.record = record;
    this.layers = layersOf(record);
    this.onchange = onchange;
    this.position = 50;
    this.zoom = 1;
    this.offset = [0, 0];
    this.worlds = { left: make('div', { className: 'world' }), right: make('div', { className: 'world' }) };
    this.tags = { left: make('span', { className: 'tag left' }), right: make('span', { className: 'tag right' }) };
    this.stage = make('div', { className: 'stage' },
      make('div', { className: 'side right' }, this.worlds.right), make('div', { className: 'side left' }, this.worlds.left),
      make('div', { className: 'handle' }), this.tags.left, this.tags.right);
    this.stage.style.aspectRatio = `${record.width} / ${record.height}`;
    this.stage.style.setProperty('--ratio', record.width / record.height);
    this.readout = new Readout(this.stage, record, event => this.inImage(this.at(event)));
    this.slider = make('input', { type: 'range', min: 0, max: 100, step: 0.5, value: 50 });
    this.slider.setAttribute('aria-label', 'position of the divide, in percent of the width');
    this.slider.addEventListener('input', () => this.move(+this.slider.value));
    this.selects = { left: this.select('left'), right: this.select('right') };
    this.element = make('div', { className: 'compare' }, make('div', { className: 'frame' }, this.stage),
      make('div', { className: 'controls' }, this.selects.left, this.slider, this.selects.right));
    this.listen();
    this.show('left', 'input');
    this.show('right', layerOf(record).key);
  }

  select(side) {
    const select = make('select', {}, ...options(this.layers));
    select.setAttribute('aria-label', `layer on the ${side} of the divide`);
    select.addEventListener('change', () => this.show(side, select.value));
    return select;
  }

  show(side, key) {
    const layer = layerOf(this.record, key);
    this.worlds[side].replaceChildren(...drawn(this.record, layer));
    this.selects[side].value = layer.key;
    this.tags[side].replaceChildren(layer.title, ...rampsOf(layer));
    this[side] = layer.key;
    this.onchange(this);
  }

  swap() {
    const { left, right } = this;
    this.show('left', right);
    this.show('right', left);
  }

  move(position) {
    this.position = clamp(position, 0, 100);
    this.stage.style.setProperty('--x', `${this.position}%`);
    this.slider.value = this.position;
    this.onchange(this);
  }

  // zoom about a point of the stage given in shares of its width and height
  zoomTo(zoom, at = [0.5, 0.5]) {
    const next = clamp(zoom, 1, 32);
    this.offset = this.offset.map((offset, axis) => at[axis] - (at[axis] - offset) * next / this.zoom);
    this.zoom = next;
    this.place();
  }

  pan(dx, dy) {
    this.offset = [this.offset[0] + dx, this.offset[1] + dy];
    this.place();
  }

  place() {
    this.offset = this.offset.map(offset => clamp(offset, 1 - this.zoom, 0));
    const [x, y] = this.offset.map(offset => `${100 * offset}%`);
    this.stage.style.setProperty('--view', `translate(${x}, ${y}) scale(${this.zoom})`);
    this.onchange(this);
  }

  at(event) {
    const box = this.stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  inImage(at) {
    return at.map((share, axis) => (share - this.offset[axis]) / this.zoom);
  }

  // say what is at a place of the stage, moved by the keyboard from where it was
  read(dx, dy) {
    const at = (this.reading ?? [0.5, 0.5]).map((share, axis) => clamp(share + [dx, dy][axis], 0, 0.999));
    this.reading = at;
    this.readout.show(this.inImage(at), ...at);
  }

  listen() {
    let drag = null;
    this.stage.addEventListener('pointerdown', event => {
      if (event.button) return;
      this.stage.setPointerCapture(event.pointerId);
      const point = this.at(event);
      const grabs = Math.abs(point[0] * 100 - this.position) < 3;       // near the divide: move it even when zoomed in
      drag = { point, pans: this.zoom > 1 && !grabs };
      if (!drag.pans) this.move(point[0] * 100);
    });
    this.stage.addEventListener('pointermove', event => {
      this.reading = this.at(event);
      if (!drag) return;
      const point = this.reading;
      if (drag.pans) this.pan(point[0] - drag.point[0], point[1] - drag.point[1]);
      else this.move(point[0] * 100);
      drag.point = point;
    });
    for (const end of ['pointerup', 'pointercancel']) this.stage.addEventListener(end, () => { drag = null; });
    this.stage.addEventListener('wheel', event => {
      event.preventDefault();
      this.zoomTo(this.zoom * Math.exp(-event.deltaY / 400), this.at(event));
    }, { passive: false });
  }
}
