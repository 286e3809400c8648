// ---- which images are shown, and in which order: functions of the records and of what was chosen ----
// An entry of record.classes is [class, labelled pixels, predicted pixels, IoU]; null: not known.
const entryOf = (record, label) => record.classes.find(entry => entry[0] === label) ?? [label, 0, 0, null];

const WHERE = {
  label: ([, labelled, predicted]) => (labelled ?? predicted) > 0,
  either: ([, labelled, predicted]) => labelled > 0 || predicted > 0,
  invented: ([, labelled, predicted]) => labelled === 0 && predicted > 0,
  missed: ([, labelled, predicted]) => labelled > 0 && predicted === 0,
};

// the number that images are sorted by, smallest first; null comes last
const ORDERS = {
  index: record => record.index,
  worst: record => record.miou,
  best: record => record.miou == null ? null : -record.miou,
  wrong: record => record.miou == null ? null : -record.wrong,
  'class-worst': (record, label) => entryOf(record, label)[3],
  'class-most': (record, label) => { const [, labelled, predicted] = entryOf(record, label); return -(labelled ?? predicted); },
};

const holds = (record, label, where) => WHERE[where](entryOf(record, label));

function chosen(all, { find, label, where, order }) {
  const wanted = find.trim().toLowerCase();
  const kept = all.filter(record => record.name.toLowerCase().includes(wanted) && (label == null || holds(record, label, where)));
  if (order === 'name') return kept.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const key = ORDERS[order] ?? ORDERS.index;
  const keys = new Map(kept.map(record => [record, key(record, label) ?? Infinity]));
  return kept.sort((a, b) => (keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : a.index - b.index));
}
