// ---- the keyboard and the controls ----
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  remember('theme', theme);
}

function switchTheme() {
  const now = document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  setTheme(now === 'dark' ? 'light' : 'dark');
}

// move the focus from image to image
function step(by) {
  const tiles = $$('.tile');
  const place = tiles.indexOf(document.activeElement);
  tiles[place < 0 ? 0 : clamp(place + by, 0, tiles.length - 1)]?.focus();
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const typing = event.target.closest('select, input');
  if (typing && (typing.type === 'search' || event.key.startsWith('Arrow') || typing.tagName === 'SELECT')) return;
  if (event.key === 't') switchTheme();
  else if (event.key.toLowerCase() === 'o') setDisplay('alpha', clamp(+$('[data-display=alpha]').value + (event.shiftKey ? 10 : -10), 0, 100));
  else if (event.key === '?' && !$('#keys').open) $('#keys').showModal();
  else if (viewer.dialog.open) viewer.key(event);
  else if (event.key === 'j' || event.key === 'k') step(event.key === 'j' ? 1 : -1);
  else if (event.key === 'n' || event.key === 'p') album.turn(+album.state.page + (event.key === 'n' ? 1 : -1));
}

function start() {
  const layers = new Map(records.flatMap(layersOf).map(layer => [layer.key, layer]));
  $('#show').append(...options([...layers.values()]));
  for (const part of $$('[data-scored]')) part.hidden = part.disabled = !isScored;
  for (const control of ['show', 'where', 'order']) $('#' + control).addEventListener('change', event => album.set({ [control]: event.target.value }));
  $('#find').addEventListener('input', event => album.set({ find: event.target.value }));
  for (const button of $$('.legend button')) {
    button.addEventListener('click', () => album.set({ class: +button.dataset.class === album.label ? '' : button.dataset.class }));
  }
  for (const slider of $$('[data-display]')) slider.addEventListener('input', () => setDisplay(slider.dataset.display, slider.value));
  for (const what of ['alpha', 'size']) if (recall(what)) setDisplay(what, recall(what));
  if (recall('theme')) setTheme(recall('theme'));
  $('#theme').addEventListener('click', switchTheme);
  $('#help').addEventListener('click', () => $('#keys').showModal());
  viewer.dialog.addEventListener('click', event => viewer.act(event.target.closest('[data-do]')?.dataset.do));
  viewer.dialog.addEventListener('close', () => viewer.closed());
  document.addEventListener('keydown', onKey);
  addEventListener('hashchange', readAddress);
  $('#classes').open = innerWidth > 640;        // a narrow window begins with the images
  readAddress();
}
start();
