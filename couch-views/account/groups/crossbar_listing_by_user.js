function (doc) {
  // Lists the groups that have a user as an endpoint, one row for each user of a group.
  // Key: the user's id. Value: as in crossbar_listing.
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

  var count = 0;
  var users = [];
  var endpoints = members(doc.endpoints);
  for (var endpoint in endpoints) {
    count += 1;
    if (members(endpoints[endpoint]).type === 'user') {
      users.push(endpoint);
    }
  }

  for (var i = 0; i < users.length; i += 1) {
    emit(users[i], {
      id: doc._id,
      name: doc.name,
      features: features,
      endpoints: count,
      flags: doc.flags || []
    });
  }
}
