// ---- the layers of an image, those over its input, and how they are drawn ----
function layersOf(record) {
  const layers = record.layers.filter(layer => layer.key !== 'composited');
  const input = layers.find(layer => layer.key === 'input');
  const over = input ? layers.filter(layer => layer.kind !== 'photo') : [];
  return [
    ...layers.map(layer => ({ key: layer.key, title: layer.title, group: 'Layers', stack: [layer] })),
    ...over.map(layer => ({ key: layer.key + '+input', title: layer.title + ' over input', group: 'Over the input', stack: [input, layer] })),
  ];
}

// what is shown when the layer that was asked for is not there
const PREFERRED = ['prediction+input', 'gt+input', 'input'];
function layerOf(record, key) {
  const layers = layersOf(record);
  return [key, ...PREFERRED].map(wanted => layers.find(layer => layer.key === wanted)).find(Boolean) ?? layers[0];
}

// the pictures of a layer, whole or as thumbnails, and the mark; they fill a box of the image's shape
function drawn(record, layer, small) {
  const images = layer.stack.map((part, place) => {
    const strip = small && record.thumbnails;
    const image = make('img', { alt: place ? '' : `${layer.title} of ${record.name}`, decoding: 'async', draggable: false });
    if (small) image.loading = 'lazy';
    image.src = strip || part.file;
    image.className = [place ? 'over' : '', strip ? 'strip' : ''].join(' ').trim();
    image.dataset.kind = part.kind;
    image.style.setProperty('--place', part.strip);
    image.style.setProperty('--parts', record.layers.length);
    return image;
  });
  if (!record.mark) return images;
  const mark = make('i', { className: 'mark' });
  [mark.style.left, mark.style.top] = record.mark.map(share => `${100 * share}%`);
  return [...images, mark];
}

function ramp(ticks) {
  return make('span', { className: 'ramp' }, make('i'), ...ticks.map(tick => make('b', { textContent: tick })));
}

// the ramp of a layer that is a map, or nothing
const rampsOf = layer => layer.stack.filter(part => part.ramp).map(part => ramp(part.ramp));

function options(layers) {
  return ['Layers', 'Over the input'].map(name => {
    const some = layers.filter(layer => layer.group === name);
    return make('optgroup', { label: name }, ...some.map(layer => make('option', { value: layer.key, textContent: layer.title })));
  }).filter(group => group.children.length);
}

// below a thumbnail the folders that all names begin with, and the ending of all, are left out
const shared = (a, b) => {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a[length] === b[length]) length++;
  return a.slice(0, length);
};
const turned = text => [...text].reverse().join('');
const [prefix, suffix] = records.length < 2 ? ['', ''] : [
  records.map(record => record.name).reduce(shared).replace(/[^/]*$/, ''),
  turned(records.map(record => turned(record.name)).reduce(shared)).replace(/^[^._]*/, ''),
];
const shortName = name => name.slice(prefix.length, name.length - suffix.length) || name;
