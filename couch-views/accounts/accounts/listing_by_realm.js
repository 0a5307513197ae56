function (doc) {
  // Finds accounts by their realm.
  // Key: the realm in lower case. Value: {account_id}.
  if (doc.pvt_type !== 'account' || doc.pvt_deleted || typeof doc.realm !== 'string') {
    return;
  }
  emit(doc.realm.toLowerCase(), {account_id: doc._id});
}
