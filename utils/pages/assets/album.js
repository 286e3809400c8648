// ---- the thumbnails: a page of them at a time, of the images that are chosen ----
const PER_PAGE = 24;
const START = { find: '', class: '', where: 'label', order: 'index', page: '1', show: '' };
const isScored = records.some(record => record.miou != null);

const album = {
  state: { ...START }, shown: records,

  get label() { return this.state.class === '' ? null : +this.state.class; },
  get pages() { return Math.max(1, Math.ceil(this.shown.length / PER_PAGE)); },

  // change what is chosen; other images begin at the first page
  set(change) {
    this.state = { ...this.state, page: change.show === undefined ? '1' : this.state.page, ...change };
    if (change.class !== undefined) {
      if (change.class !== '' && isScored && this.state.order === 'index') this.state.order = 'class-worst';
      if (change.class === '' && this.state.order.startsWith('class-')) this.state.order = 'index';
    }
    this.draw();
    writeAddress();
  },

  turn(page) {
    this.set({ page: String(clamp(page, 1, this.pages)) });
    $('#album').scrollIntoView({ block: 'start' });
  },

  draw() {
    const { state, label } = this;
    this.shown = chosen(records, { ...state, label });
    const page = clamp(+state.page || 1, 1, this.pages);
    state.page = String(page);
    const layer = key => records.length ? layerOf(records[0], key) : null;
    $('#tiles').replaceChildren(...this.shown.slice((page - 1) * PER_PAGE, page * PER_PAGE).map(record => make('li', {}, this.tile(record))));
    for (const control of ['find', 'where', 'order']) $('#' + control).value = state[control];
    $('#show').value = layer(state.show)?.key ?? '';
    $('#ramp').replaceChildren(...(records.length ? rampsOf(layer(state.show)) : []));
    this.legend();
    this.pager(page);
  },

  tile(record) {
    const thumb = make('span', { className: 'thumb' }, ...drawn(record, layerOf(record, this.state.show), true));
    thumb.style.aspectRatio = `${record.width} / ${record.height}`;
    const share = this.label == null ? record.miou : entryOf(record, this.label)[3];
    const score = isScored ? make('b', { textContent: percent(share), title: this.label == null ? 'mean IoU of this image' : `IoU of ${names[this.label]}` }) : '';
    const button = make('button', { type: 'button', className: 'tile' }, thumb,
      make('span', { className: 'line' }, make('span', { className: 'name', title: record.name, textContent: shortName(record.name) }), score));
    if (record.about) button.append(make('small', { textContent: record.about }));
    button.dataset.index = record.index;
    button.addEventListener('click', () => viewer.open(record));
    thumb.addEventListener('pointerenter', event => {
      if (event.pointerType !== 'mouse' || thumb.readout) return;
      thumb.readout = new Readout(thumb, record, ({ clientX, clientY }) => {
        const box = thumb.getBoundingClientRect();
        return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
      });
    });
    return button;
  },

  legend() {
    for (const button of $$('.legend button')) {
      const label = +button.dataset.class;
      button.setAttribute('aria-pressed', label === this.label);
      $('small', button).textContent = records.filter(record => holds(record, label, this.state.where)).length;
    }
    for (const option of $$('#order [data-class-order]')) {
      option.hidden = option.disabled = this.label == null || (option.matches('[data-scored]') && !isScored);
      option.textContent = `${option.dataset.classOrder} ${this.label == null ? 'a class' : names[this.label]}`;
    }
  },

  pager(page) {
    const { length } = this.shown;
    const from = (page - 1) * PER_PAGE;
    const some = this.label == null ? '' : ` with ${names[this.label]}`;
    $('#count').textContent = length === records.length ? counted(length, 'image') : `${length.toLocaleString('en')} of ${counted(records.length, 'image')}${some}`;
    for (const nav of $$('.pager')) {
      const button = (text, title, to) => make('button', { type: 'button', textContent: text, title, ariaLabel: title, disabled: to < 1 || to > this.pages, onclick: () => this.turn(to) });
      nav.replaceChildren(button('‹', 'Previous page (p)', page - 1),
        make('span', { textContent: length ? `${from + 1}–${Math.min(from + PER_PAGE, length)}` : 'no image' }),
        make('span', { className: 'soft', textContent: `page ${page} of ${this.pages}` }),
        button('›', 'Next page (n)', page + 1));
    }
  },
};

// opacity of the overlays (alpha, percent), width of the thumbnails (size, pixels)
function setDisplay(what, value) {
  for (const slider of $$(`[data-display=${what}]`)) slider.value = value;
  document.documentElement.style.setProperty(...(what === 'size' ? ['--thumb', `${value}px`] : ['--alpha', value / 100]));
  remember(what, value);
}
