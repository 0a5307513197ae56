// A CouchDB-compatible server in memory: PouchDB behind express-pouchdb, with the faults mended that would
// keep a CouchDB client from being tested on it. It listens on a free port of the loopback interface.
//   node server.js              prints its URL as one line, and ends when its standard input does, so that
//                               it never outlives who started it;
//   node server.js COMMAND ...  runs the command with its URL in STANDIN_URL, and ends with it.
'use strict';

const { spawn } = require('child_process');
const http = require('http');
const vm = require('vm');

// express-pouchdb deletes slashes from database names (pouchdb-server 213), so that names collide.
// Inside, a slash is another character.
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

// Some requests (an unknown filter of a change feed) reject a promise that nobody looks at.
process.on('unhandledRejection', () => {});
// PouchDB prints every exception of a map function, Node every outdated call of PouchDB's.
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

// The database that a request is about, if there is one.
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

// The open change feeds of each database: they went on for ever, even without it.
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

// DELETE deleted whatever it was asked to, with any revision or with none.
app.delete('/:db/:id(*)', async (req, res, next) => {
  const db = await find(req.params.db);
  if (!db) return next();
  const { doc, missing } = await newest(db, req.params.id);
  if (missing) return refuse(res, 404, 'not_found', missing);
  const rev = req.query.rev || unquoted(req.headers['if-match']);
  if (rev !== doc._rev) return refuse(res, 409, 'conflict', 'Document update conflict.');
  next();
});

// If-Match was ignored, and a map that does not compile was an empty view.
app.put('/:db/:id(*)', utils.jsonParser, (req, res, next) => {
  const rev = unquoted(req.headers['if-match']);
  if (rev) req.body._rev = req.body._rev || rev;
  for (const [name, view] of Object.entries((req.params.id.startsWith('_design/') && req.body.views) || {})) {
    if (!isFunction(view.map)) {
      return refuse(res, 400, 'compilation_error', `Compilation of the map function in the '${name}' view failed`);
    }
  }
  next();
});

function unquoted(etag) {
  return etag && etag.replace(/^"(.*)"$/, '$1');
}

function isFunction(source) {
  try {
    return vm.runInNewContext(`typeof (${source}\n)`, {}, { timeout: 1000 }) === 'function';
  } catch {
    return false;
  }
}

// ETags were hashes of the body: the revision is what CouchDB gives, and takes as If-None-Match. And a
// deleted document was as good as one that never was.
app.get('/:db/:id(*)', async (req, res, next) => {
  const known = unquoted(req.headers['if-none-match']);
  delete req.headers['if-none-match'];
  if (/^_(?!design\/[^/]*$)/.test(req.params.id)) return next();
  const db = await find(req.params.db);
  if (!db) return next();
  const { doc, missing } = await newest(db, req.params.id);
  if (missing === 'deleted') return refuse(res, 404, 'not_found', missing);
  if (missing || doc._rev !== known) return next();
  res.set('ETag', `"${doc._rev}"`).status(304).end();
});

// The newest revision of a document, or why there is none.
async function newest(db, id) {
  try {
    return { doc: await db.get(id) };
  } catch (error) {
    return { missing: error.reason === 'deleted' ? 'deleted' : 'missing' };
  }
}

// startkey_docid and endkey_docid were ignored.
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

// Compression is left out: it holds the events of continuous feeds back.
app.use(
  require('express-pouchdb')(PouchDB, {
    mode: 'minimumForPouchDB',
    overrideMode: { exclude: ['compression'] },
  }),
);

const server = http.createServer(app);
// Longer than any client keeps an unused connection.
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
