function (doc) {
  // Finds accounts by their API key.
  // Key: the API key. Value: {account_id}.
  if (doc.pvt_type !== 'account' || doc.pvt_deleted || !doc.pvt_api_key) {
    return;
  }
  emit(doc.pvt_api_key, {account_id: doc._id});
}
