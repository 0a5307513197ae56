function(doc) {
  if (doc.pvt_type != 'view_definition' || doc.pvt_deleted) return;
  for (var i in doc.kazoo.view_map) {
    var map = doc.kazoo.view_map[i];
    for (var j in doc.view_definition.views) {
      emit([map.classification || map.database, doc.view_definition._id.split('/').pop() + '/' + j], null);
    }
  }
}
