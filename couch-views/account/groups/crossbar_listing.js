function (doc) {
  // Groups as crossbar lists them.
  // Key: the group's id. Value: {id, name, features, endpoints: how many, flags}.
  // What is not an object where one is expected counts as empty, so that no group goes unlisted.
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
