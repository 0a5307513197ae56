// A CouchDB-compatible server in memory: PouchDB behind express-pouchdb. The code below corrects faults of
// express-pouchdb that would break the tests of a CouchDB client. The server listens on a free loopback port.
//   node server.js              prints its URL as one line. It ends when its standard input closes, so that
//                               it never outlives the process that started it.
//   node server.js COMMAND ...  runs the command with its URL in STANDIN_URL, and ends with it.
'use strict';

const { spawn } = require('child_process');
const http = require('http');
const vm = require('vm');

// express-pouchdb removes slashes from database names (pouchdb-server 213), so names collide. Inside this
// server another character stands for the slash.
const SLASH = '\u2215';
const inside = (name) => name.replace(/\//g, SLASH);
const outside = (name) => name.replaceAll(SLASH, '/');
const cleanFilename = require.resolve('express-pouchdb/lib/clean-filename');
require.cache[cleanFilename] = { id: cleanFilename, filename: cleanFilename, loaded: true, exports: inside };

const express = require('express');
const utils = require('express-pouchdb/lib/utils');
const { getOrCreateDB } = require('express-pouchdb/lib/create-or-delete-dbs');
// CouchDB's default, in bytes.
utils.maxDocumentSizeDefault = 8_000_000;

const PouchDB = require('pouchdb-core')
  .plugin(require('pouchdb-adapter-memory'))
  .plugin(require('pouchdb-mapreduce'))
  .defaults({ adapter: 'memory' });

// Some requests (an unknown filter of a change feed) reject a promise that no code handles.
process.on('unhandledRejection', () => {});
// PouchDB prints every exception of a map function. Node prints every deprecated call of PouchDB.
console.error = console.warn = () => {};
process.emitWarning = () => {};

const AUTHORIZATION = `Basic ${Buffer.from('admin:admin').toString('base64')}`;

const app = express();
app.enable('case sensitive routing');
app.disable('x-powered-by');

const refuse = (res, status, error, reason) => utils.sendJSON(res, status, { error, reason });

app.use((req, res, next) => {
  if (req.headers.authorization === AUTHORIZATION) return next();
  refuse(res, 401, 'unauthorized', 'Name or password is incorrect.');
});

app.get('/', (req, res) => {
  utils.sendJSON(res, 200, { couchdb: 'Welcome', version: '3.0.0', vendor: { name: 'stand-in' } });
});
app.get('/_up', (req, res) => utils.sendJSON(res, 200, { status: 'ok' }));
app.get('/_all_dbs', async (req, res) => {
  utils.sendJSON(res, 200, (await PouchDB.allDbs()).map(outside).sort());
});

app.put('/:db', (req, res, next) => {
  if (/^[a-z][a-z0-9_$()+/-]*$/.test(req.params.db)) return next();
  refuse(res, 400, 'illegal_database_name', `Name: '${req.params.db}'.`);
});

// The database of a request, if it exists.
async function find(name) {
  const known = await PouchDB.allDbs();
  return known.includes(inside(name)) ? getOrCreateDB(PouchDB, inside(name)) : undefined;
}

app.get('/:db', async (req, res, next) => {
  if (req.params.db.startsWith('_')) return next();
  const db = await find(req.params.db);
  if (!db) return refuse(res, 404, 'not_found', 'Database does not exist.');
  utils.sendJSON(res, 200, { ...(await db.info()), db_name: req.params.db });
});

// The open change feeds of each database. express-pouchdb keeps them open after the database is deleted.
const feeds = new Map();

app.get('/:db/_changes', (req, res, next) => {
  const open = feeds.get(req.params.db) || new Set();
  feeds.set(req.params.db, open.add(res));
  res.on('close', () => open.delete(res));
  next();
});

app.delete('/:db', async (req, res, next) => {
  if (!(await find(req.params.db))) return refuse(res, 404, 'not_found', 'Database does not exist.');
  res.on('finish', () => (feeds.get(req.params.db) || []).forEach((feed) => feed.end()));
  next();
});

// PouchDB cannot list local documents, so the names that were written are kept here.
const locals = new Map();

app.put('/:db/_local/:name', (req, res, next) => {
  const names = locals.get(req.params.db) || new Set();
  locals.set(req.params.db, names.add(req.params.name));
  next();
});

app.get('/:db/_local_docs', async (req, res) => {
  const db = await find(req.params.db);
  if (!db) return refuse(res, 404, 'not_found', 'Database does not exist.');
  const rows = [];
  for (const name of locals.get(req.params.db) || []) {
    const { doc } = await newest(db, `_local/${name}`);
    if (doc) rows.push({ id: doc._id, key: doc._id, value: { rev: doc._rev }, doc });
  }
  utils.sendJSON(res, 200, { total_rows: null, offset: null, rows });
});

// express-pouchdb deletes a document with any revision or none.
app.delete('/:db/:id(*)', async (req, res, next) => {
  const db = await find(req.params.db);
  if (!db) return next();
  const { doc, missing } = await newest(db, req.params.id);
  if (missing) return refuse(res, 404, 'not_found', missing);
  if (req.query.rev !== doc._rev) return refuse(res, 409, 'conflict', 'Document update conflict.');
  next();
});

// express-pouchdb takes a map function that does not compile for an empty view.
app.put('/:db/:id(*)', utils.jsonParser, (req, res, next) => {
  for (const [name, view] of Object.entries((req.params.id.startsWith('_design/') && req.body.views) || {})) {
    if (!isFunction(view.map)) {
      return refuse(res, 400, 'compilation_error', `Compilation of the map function in the '${name}' view failed`);
    }
  }
  next();
});

function isFunction(source) {
  try {
    return vm.runInNewContext(`typeof (${source}\n)`, {}, { timeout: 1000 }) === 'function';
  } catch {
    return false;
  }
}

// express-pouchdb gives the same reason for a deleted document as for one that never existed.
app.get('/:db/:id(*)', async (req, res, next) => {
  if (/^_(?!design\/[^/]*$)/.test(req.params.id)) return next();
  const db = await find(req.params.db);
  if (!db) return next();
  const { missing } = await newest(db, req.params.id);
  if (missing === 'deleted') return refuse(res, 404, 'not_found', missing);
  next();
});

// The newest revision of a document, or the reason why there is none.
async function newest(db, id) {
  try {
    return { doc: await db.get(id) };
  } catch (error) {
    return { missing: error.reason === 'deleted' ? 'deleted' : 'missing' };
  }
}

// express-pouchdb ignores startkey_docid and endkey_docid.
app.all('/:db/_design/:id/_view/:view', utils.jsonParser, async (req, res, next) => {
  const { startkey_docid: first, endkey_docid: last, limit, skip = 0, inclusive_end, ...options } = {
    ...Object.fromEntries(Object.entries(req.query).map(([name, text]) => [name, parsed(text)])),
    ...req.body,
  };
  const db = (first !== undefined || last !== undefined) && (await find(req.params.db));
  if (!db) return next();
  const { startkey = options.key, endkey = options.key, descending } = options;
  const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const before = (a, b) => (descending ? a > b : a < b);
  const isWanted = ({ key, id }) => {
    if (first !== undefined && equal(key, startkey) && before(id, first)) return false;
    if (!equal(key, endkey)) return true;
    if (last === undefined) return inclusive_end !== false;
    return inclusive_end === false ? before(id, last) : !before(last, id);
  };
  try {
    const answer = await db.query(`${req.params.id}/${req.params.view}`, options);
    const rows = answer.rows.filter(isWanted);
    utils.sendJSON(res, 200, { ...answer, rows: rows.slice(skip, limit === undefined ? undefined : skip + limit) });
  } catch (error) {
    utils.sendError(res, error);
  }
});

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// No compression: it would hold back the changes of continuous feeds.
app.use(
  require('express-pouchdb')(PouchDB, {
    mode: 'minimumForPouchDB',
    overrideMode: { exclude: ['compression'] },
  }),
);

const server = http.createServer(app);
// Clients must close unused connections first.
server.keepAliveTimeout = 120_000;
server.requestTimeout = 0;
server.listen(0, '127.0.0.1', () => {
  const url = `http://admin:admin@127.0.0.1:${server.address().port}`;
  const [command, ...args] = process.argv.slice(2);
  if (command) {
    const env = { ...process.env, STANDIN_URL: url };
    const child = spawn(command, args, { env, stdio: 'inherit' });
    child.on('error', (error) => process.stderr.write(`${command}: ${error.message}\n`));
    child.on('close', (code) => process.exit(code === null ? 1 : code));
    return;
  }
  process.stdout.write(`${url}\n`);
  process.stdin.resume();
  for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit(0));
});
