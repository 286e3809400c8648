// ---- the full-screen viewer; what is chosen and open is in the address, so it can be linked ----
const viewer = {
  dialog: $('#viewer'), record: null, compare: null,

  open(record, state = {}) {
    const before = this.compare;
    this.record = record;
    this.compare = new Compare(record, compare => this.note(compare));
    const { compare } = this;
    compare.show('left', state.left ?? before?.left ?? 'input');
    compare.show('right', state.right ?? before?.right ?? (album.state.show || undefined));
    compare.move(+(state.x ?? before?.position ?? 50));
    if (state.zoom) compare.zoomTo(+state.zoom);
    $('.slot', this.dialog).replaceChildren(compare.element);
    $('#viewer-name').textContent = record.name;
    const scores = record.miou == null ? [] : [`mIoU ${percent(record.miou)}`, `${percent(record.accuracy)} right`, `${record.wrong.toLocaleString('en')} px wrong`];
    $('#viewer-scores').textContent = [record.about, ...scores].filter(Boolean).join(' · ');
    $('#viewer-classes').replaceChildren(...record.classes.map(([label, labelled, predicted, iou]) =>
      make('span', {}, swatch(label), className(label), iou == null ? '' : ` ${(100 * iou).toFixed(1)}`)));
    $('#viewer-files').replaceChildren('Files: ', ...record.layers.map(layer => make('a', { href: layer.file, textContent: layer.title })));
    pixelsOf(record);
    if (!this.dialog.open) this.dialog.showModal();
    writeAddress();
  },

  note(compare) {
    if (compare !== this.compare || !compare.right) return;
    $('#viewer-zoom').textContent = `${Math.round(100 * compare.zoom)} %`;
    writeAddress();
  },

  get state() {
    const { compare } = this;
    const state = { image: this.record.index, x: Math.round(compare.position), left: compare.left, right: compare.right };
    return compare.zoom > 1 ? { ...state, zoom: compare.zoom.toFixed(2) } : state;
  },

  turn(by) {
    const next = album.shown[album.shown.indexOf(this.record) + by];
    if (next) this.open(next);
  },

  // the page of thumbnails that holds the image is shown again
  closed() {
    const place = album.shown.indexOf(this.record);
    if (place >= 0) album.set({ page: String(Math.floor(place / PER_PAGE) + 1) });
    $(`.tile[data-index="${this.record.index}"]`)?.focus();
  },

  act(what) {
    const { compare } = this;
    ({ previous: () => this.turn(-1), next: () => this.turn(1), in: () => compare.zoomTo(compare.zoom * 1.5), out: () => compare.zoomTo(compare.zoom / 1.5),
      fit: () => compare.zoomTo(1), close: () => this.dialog.close() })[what]?.();
  },

  key(event) {
    const { compare } = this;
    const digit = /^Digit([1-9])$/.exec(event.code);
    if (digit) return compare.layers[digit[1] - 1] && compare.show(event.shiftKey ? 'left' : 'right', compare.layers[digit[1] - 1].key);
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.shiftKey && steps[event.key]) {
      event.preventDefault();
      return compare.read(...steps[event.key].map(step => 0.01 * step));
    }
    const actions = { ArrowLeft: 'previous', ArrowRight: 'next', '+': 'in', '=': 'in', '-': 'out', 0: 'fit' };
    if (event.key === '[' || event.key === ']') return compare.move(compare.position + (event.key === '[' ? -5 : 5));
    if (event.key === 's') return compare.swap();
    return this.act(actions[event.key]);
  },
};

let timer = 0;
function writeAddress() {
  clearTimeout(timer);                          // browsers limit how often the address may change
  timer = setTimeout(() => {
    const changed = Object.entries(album.state).filter(([key, value]) => value !== START[key]);
    const open = viewer.dialog.open ? Object.entries(viewer.state) : [];
    history.replaceState(null, '', '#' + new URLSearchParams([...changed, ...open]));
  }, 150);
}

function readAddress() {
  if (location.hash && !location.hash.includes('=')) return;           // a link within the page
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const known = Object.keys(START).filter(key => given[key] !== undefined);
  const state = { ...START, ...Object.fromEntries(known.map(key => [key, given[key]])) };
  if (names[state.class] === undefined) state.class = '';
  if (!WHERE[state.where]) state.where = START.where;
  album.state = state;
  album.draw();
  if (records[given.image]) viewer.open(records[given.image], given);
  else if (viewer.dialog.open) viewer.dialog.close();
}
