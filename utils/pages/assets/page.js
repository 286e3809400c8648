'use strict';
// Every text that comes from a file name reaches the page as an attribute or textContent, never as HTML.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// ---- the layers of a card, and those over its input ----
function layersOf(card) {
  const plain = $$('figure', card).map(figure => ({
    key: figure.dataset.key, title: figure.dataset.title, group: 'Layers',
    images: [{ src: $('img', figure).getAttribute('src'), kind: figure.dataset.kind }],
  }));
  const input = plain.find(layer => layer.key === 'input');
  const over = plain.filter(layer => layer.images[0].kind !== 'photo').map(layer => ({
    key: layer.key + '+input', title: layer.title + ' over input', group: 'Over the input',
    images: [input.images[0], { ...layer.images[0], over: true }],
  }));
  return [...plain.filter(layer => layer.key !== 'composited'), ...over];
}

// ---- two layers of one image under a slider ----
class Compare {
  constructor(card, onchange = () => {}) {
    this.layers = layersOf(card);
    this.onchange = onchange;
    this.position = 50;
    this.zoom = 1;
    this.offset = [0, 0];
    this.worlds = { left: make('div', { className: 'world' }), right: make('div', { className: 'world' }) };
    this.tags = { left: make('span', { className: 'tag left' }), right: make('span', { className: 'tag right' }) };
    this.stage = make('div', { className: 'stage' },
      make('div', { className: 'side right' }, this.worlds.right), make('div', { className: 'side left' }, this.worlds.left),
      make('div', { className: 'handle' }), this.tags.left, this.tags.right);
    const { width, height } = card.dataset;
    this.stage.style.aspectRatio = `${width} / ${height}`;
    this.stage.style.setProperty('--ratio', width / height);
    this.slider = make('input', { type: 'range', min: 0, max: 100, step: 0.5, value: 50 });
    this.slider.setAttribute('aria-label', 'position of the divide, in percent of the width');
    this.slider.addEventListener('input', () => this.move(+this.slider.value));
    this.selects = { left: this.select('left'), right: this.select('right') };
    this.element = make('div', { className: 'compare' }, make('div', { className: 'frame' }, this.stage),
      make('div', { className: 'controls' }, this.selects.left, this.slider, this.selects.right));
    this.listen();
    this.show('left', 'input');
    this.show('right', 'prediction+input');
  }

  select(side) {
    const select = make('select');
    select.setAttribute('aria-label', `layer on the ${side} of the divide`);
    for (const name of ['Layers', 'Over the input']) {
      const options = this.layers.filter(layer => layer.group === name).map(layer => make('option', { value: layer.key, textContent: layer.title }));
      select.append(make('optgroup', { label: name }, ...options));
    }
    select.addEventListener('change', () => this.show(side, select.value));
    return select;
  }

  show(side, key) {
    const layer = this.layers.find(candidate => candidate.key === key) ?? this.layers[0];
    this.worlds[side].replaceChildren(...layer.images.map(({ src, kind, over }) => {
      const image = make('img', { src, alt: '', className: over ? 'over' : '', decoding: 'async' });
      image.dataset.kind = kind;
      return image;
    }));
    this.selects[side].value = layer.key;
    this.tags[side].textContent = layer.title;
    this[side] = layer.key;
    this.onchange(this);
  }

  swap() {
    const { left, right } = this;
    this.show('left', right);
    this.show('right', left);
  }

  move(percent) {
    this.position = clamp(percent, 0, 100);
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

  listen() {
    let drag = null;
    const at = event => {
      const box = this.stage.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    this.stage.addEventListener('pointerdown', event => {
      if (event.button) return;
      this.stage.setPointerCapture(event.pointerId);
      const point = at(event);
      const grabs = Math.abs(point[0] * 100 - this.position) < 3;       // near the divide: move it even when zoomed in
      drag = { point, pans: this.zoom > 1 && !grabs };
      if (!drag.pans) this.move(point[0] * 100);
    });
    this.stage.addEventListener('pointermove', event => {
      if (!drag) return;
      const point = at(event);
      if (drag.pans) this.pan(point[0] - drag.point[0], point[1] - drag.point[1]);
      else this.move(point[0] * 100);
      drag.point = point;
    });
    for (const end of ['pointerup', 'pointercancel']) this.stage.addEventListener(end, () => { drag = null; });
    this.stage.addEventListener('wheel', event => {
      if (!this.stage.closest('dialog')) return;
      event.preventDefault();
      this.zoomTo(this.zoom * Math.exp(-event.deltaY / 400), at(event));
    }, { passive: false });
  }
}

// ---- the page: order, search, display ----
const cards = $$('.card');
const shown = () => $$('.card').filter(card => !card.hidden);
const near = new IntersectionObserver(entries => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    $('.slot', target).append(new Compare(target).element);
  }
}, { rootMargin: '600px' });

function sortCards(order) {
  const scored = (sign, field) => (a, b) => {
    if (a.dataset[field] === '' || b.dataset[field] === '') return (a.dataset[field] === '') - (b.dataset[field] === '');
    return sign * (a.dataset[field] - b.dataset[field]) || a.dataset.index - b.dataset.index;
  };
  const orders = {
    index: (a, b) => a.dataset.index - b.dataset.index,
    worst: scored(1, 'miou'), best: scored(-1, 'miou'), wrong: scored(-1, 'wrong'),
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
  };
  $('#cards').append(...cards.sort(orders[order] ?? orders.index));
}

function filterCards(text) {
  const wanted = text.trim().toLowerCase();
  for (const card of cards) card.hidden = !card.dataset.name.toLowerCase().includes(wanted);
  const count = shown().length;
  const all = cards.length === 1 ? '1 image' : `${cards.length} images`;
  $('#count').textContent = count === cards.length ? all : `${count} of ${all}`;
}

function remember(key, value) {
  try { localStorage.setItem('page-' + key, value); } catch { /* storage may be off for files */ }
}

function recall(key) {
  try { return localStorage.getItem('page-' + key); } catch { return null; }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  remember('theme', theme);
}

function switchTheme() {
  const now = document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  setTheme(now === 'dark' ? 'light' : 'dark');
}

function setDisplay(id, value) {
  $('#' + id).value = value;
  document.documentElement.style.setProperty('--' + (id === 'size' ? 'thumb' : id), id === 'size' ? `${value}px` : value / 100);
  remember(id, value);
}

function goTo(card, block) {
  for (const other of cards) other.classList.toggle('here', other === card);
  card.scrollIntoView({ block });
}

function step(by) {
  const list = shown();
  const next = clamp(list.findIndex(card => card.classList.contains('here')) + by, 0, list.length - 1);
  if (list.length) goTo(list[next], 'start');
}

// ---- the full-screen viewer; its state is in the address, so it can be linked ----
const viewer = {
  dialog: $('#viewer'), card: null, compare: null,

  open(card, state = {}) {
    const before = this.compare;
    this.card = card;
    this.compare = new Compare(card, compare => this.note(compare));
    const { compare } = this;
    compare.show('left', state.left ?? before?.left ?? 'input');
    compare.show('right', state.right ?? before?.right ?? 'prediction+input');
    compare.move(+(state.x ?? before?.position ?? 50));
    if (state.zoom) compare.zoomTo(+state.zoom);
    $('.slot', this.dialog).replaceChildren(compare.element);
    $('#viewer-name').textContent = card.dataset.name;
    $('#viewer-scores').textContent = $$('.badge', card).map(badge => badge.textContent).join(' · ');
    this.listClasses();
    if (!this.dialog.open) this.dialog.showModal();
  },

  listClasses() {
    const ious = this.card.dataset.ious.split(',').filter(Boolean).map(pair => pair.split(':'));
    $('#viewer-ious').replaceChildren(...ious.map(([label, iou]) => {
      const entry = $(`.legend li[data-class="${label}"]`).cloneNode(true);
      return make('span', {}, ...entry.childNodes, ` ${(100 * iou).toFixed(1)}`);
    }));
  },

  note(compare) {
    if (compare !== this.compare || !compare.right) return;
    $('#viewer-zoom').textContent = `${Math.round(100 * compare.zoom)} %`;
    const state = new URLSearchParams({ image: this.card.dataset.index, x: Math.round(compare.position), left: compare.left, right: compare.right });
    if (compare.zoom > 1) state.set('zoom', compare.zoom.toFixed(2));
    clearTimeout(this.timer);                   // browsers limit how often the address may change
    this.timer = setTimeout(() => { if (this.dialog.open) history.replaceState(null, '', '#' + state); }, 150);
  },

  turn(by) {
    const list = shown();
    const next = list[list.indexOf(this.card) + by];
    if (next) this.open(next);
  },

  act(what) {
    const { compare } = this;
    ({ previous: () => this.turn(-1), next: () => this.turn(1), in: () => compare.zoomTo(compare.zoom * 1.5), out: () => compare.zoomTo(compare.zoom / 1.5),
      fit: () => compare.zoomTo(1), close: () => this.dialog.close() })[what]?.();
  },

  key(event) {
    const { compare } = this;
    const layers = compare.layers;
    const digit = /^Digit([1-9])$/.exec(event.code);
    if (digit) return layers[digit[1] - 1] && compare.show(event.shiftKey ? 'left' : 'right', layers[digit[1] - 1].key);
    const actions = { ArrowLeft: 'previous', ArrowRight: 'next', '+': 'in', '=': 'in', '-': 'out', 0: 'fit' };
    if (event.key === '[' || event.key === ']') return compare.move(compare.position + (event.key === '[' ? -5 : 5));
    if (event.key === 's') return compare.swap();
    return this.act(event.key === '0' ? 'fit' : actions[event.key]);
  },
};

function openFromAddress() {
  const state = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const card = state.image !== undefined && cards.find(candidate => candidate.dataset.index === state.image);
  if (card) viewer.open(card, state);
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const typing = event.target.closest('select, input');
  if (typing && (typing.type === 'search' || event.key.startsWith('Arrow') || typing.tagName === 'SELECT')) return;
  if (event.key === 't') switchTheme();
  else if (event.key === '?' && !$('#keys').open) $('#keys').showModal();
  else if (viewer.dialog.open) viewer.key(event);
  else if (event.key === 'j' || event.key === 'k') step(event.key === 'j' ? 1 : -1);
  else if (event.key === 'Enter' && $('.card.here') && event.target === document.body) viewer.open($('.card.here'));
}

function start() {
  for (const option of $$('#order [data-scored]')) option.disabled = !cards.some(card => card.dataset.miou);
  $('#order').addEventListener('change', event => sortCards(event.target.value));
  $('#find').addEventListener('input', event => filterCards(event.target.value));
  for (const id of ['alpha', 'size']) {
    $('#' + id).addEventListener('input', event => setDisplay(id, event.target.value));
    if (recall(id)) setDisplay(id, recall(id));
  }
  if (recall('theme')) setTheme(recall('theme'));
  $('#theme').addEventListener('click', switchTheme);
  $('#help').addEventListener('click', () => $('#keys').showModal());
  for (const card of cards) {
    near.observe(card);
    $('.open', card).addEventListener('click', () => viewer.open(card));
  }
  viewer.dialog.addEventListener('click', event => viewer.act(event.target.closest('[data-do]')?.dataset.do));
  viewer.dialog.addEventListener('close', () => {
    history.replaceState(null, '', `#image-${viewer.card.dataset.index}`);
    goTo(viewer.card, 'nearest');
  });
  document.addEventListener('keydown', onKey);
  addEventListener('hashchange', openFromAddress);
  filterCards('');
  openFromAddress();
}
start();
