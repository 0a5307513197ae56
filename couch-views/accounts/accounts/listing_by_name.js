function (doc) {
  // Finds accounts by their name.
  // Key: the name in lower case, with only the characters a-z and 0-9. Value: {account_id}.
  if (doc.pvt_type !== 'account' || doc.pvt_deleted) {
    return;
  }
  var name = doc.pvt_alphanum_name;
  if (!name && typeof doc.name === 'string') {
    name = doc.name.toLowerCase().replace(/[^a-z0-9]/g, '');
  }
  if (name) {
    emit(name, {account_id: doc._id});
  }
}
