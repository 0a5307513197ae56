function (doc) {
  // Lists the accounts below an account: the rows from [account_id] to [account_id, {}].
  // Each account has one row for each of its ancestors.
  // Key: [the ancestor, the ancestors below it, the account's id].
  // Value: {id, name, realm}.
  if (doc.pvt_type !== 'account' || doc.pvt_deleted || !isArray(doc.pvt_tree)) {
    return;
  }
  for (var i = 0; i < doc.pvt_tree.length; i += 1) {
    emit(doc.pvt_tree.slice(i).concat(doc._id), {id: doc._id, name: doc.name, realm: doc.realm});
  }
}
