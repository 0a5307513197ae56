function (doc) {
  // Finds enabled users by their credentials.
  // Key: the MD5 of "username:password" in hex. Value: {owner_id, account_id}.
  if (doc.pvt_type !== 'user' || doc.pvt_deleted || !doc.enabled || !doc.pvt_md5_auth) {
    return;
  }
  emit(doc.pvt_md5_auth, {owner_id: doc._id, account_id: doc.pvt_account_id});
}
