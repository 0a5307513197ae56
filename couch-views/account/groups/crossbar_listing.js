function (doc) {
  // Lists all groups, with the same rows as crossbar.
  // Key: the group's id. Value: {id, name, features, endpoints: their number, flags}.
  // A value that should be an object and is not counts as an empty object, so every group is listed.
  if (doc.pvt_type !== 'group' || doc.pvt_deleted) {
    return;
  }

  var members = function (value) {
    return value && typeof value === 'object' ? value : {};
  };

  var features = [];
  var smartpbx = members(doc.smartpbx);
  for (var feature in smartpbx) {
    if (members(smartpbx[feature]).enabled) {
      features.push(feature);
    }
  }
  if (members(doc.music_on_hold).media_id) {
    features.push('music_on_hold');
  }

  var endpoints = 0;
  for (var endpoint in members(doc.endpoints)) {
    endpoints += 1;
  }

  emit(doc._id, {
    id: doc._id,
    name: doc.name,
    features: features,
    endpoints: endpoints,
    flags: doc.flags || []
  });
}
