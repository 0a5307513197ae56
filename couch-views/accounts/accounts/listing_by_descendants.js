function (doc) {
  // Accounts below an account: all of them stand from [account_id] to [account_id, {}].
  // Key, once for each ancestor: [the ancestor, the ancestors below it, the account's id].
  // Value: {id, name, realm}.
  if (doc.pvt_type !== 'account' || doc.pvt_deleted || !isArray(doc.pvt_tree)) {
    return;
  }
  for (var i = 0; i < doc.pvt_tree.length; i += 1) {
    emit(doc.pvt_tree.slice(i).concat(doc._id), {id: doc._id, name: doc.name, realm: doc.realm});
  }
}
