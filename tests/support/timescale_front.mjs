// A real TimescaleDB for tests: PostgreSQL as WebAssembly (the npm package in argv[2]) behind PostgreSQL's wire protocol.
// It has one backend for all connections, and its own COPY ... FROM STDIN fails: what a client copies goes through a blob.
import net from 'node:net';
import { pathToFileURL } from 'node:url';

const from = (file) => import(pathToFileURL(`${process.argv[2]}/dist/${file}`).href);
const { PGlite } = await from('index.js');
const { timescaledb } = await from('timescaledb/index.js');
const db = await PGlite.create({ extensions: { timescaledb } });
await db.exec('CREATE EXTENSION IF NOT EXISTS timescaledb CASCADE');

const message = (type, body) => {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const text = (words) => Buffer.from(`${words}\0`);
const ready = (state) => message('Z', Buffer.from(state));
const failure = (error) =>
  message('E', Buffer.concat([text('SERROR'), text(`C${error.code ?? 'XX000'}`), text(`M${error.message}`), Buffer.alloc(1)]));

const PATH = 'SET search_path TO public'; // its sessions begin with another
const SSL_REQUEST = 80877103, CANCEL_REQUEST = 80877102;
let turn = Promise.resolve();
let sessions = 0;

class Client {
  constructor(socket) {
    this.socket = socket;
    this.buffer = Buffer.alloc(0);
    this.started = false;
    this.copying = null;
    this.open = false;
    socket.on('error', () => {});
    socket.on('close', () => { turn = turn.then(() => this.end()); });
    socket.on('data', (data) => { this.buffer = Buffer.concat([this.buffer, data]); this.take(); });
  }

  take() {
    for (;;) {
      const head = this.started ? 1 : 0;
      if (this.buffer.length < head + 4) return;
      const length = this.buffer.readUInt32BE(head) + head;
      if (this.buffer.length < length) return;
      const whole = this.buffer.subarray(0, length);
      this.buffer = this.buffer.subarray(length);
      turn = turn.then(() => this.answer(whole)).catch((error) => { console.error(String(error)); this.socket.destroy(); });
      if (!this.started && ![SSL_REQUEST, CANCEL_REQUEST].includes(whole.readUInt32BE(4))) this.started = true;
    }
  }

  async answer(whole) {
    const type = String.fromCharCode(whole[0]);
    if (whole[0] === 0) return this.begin(whole);
    if (type === 'X') return this.end();
    if (type === 'Q' && /^COPY\b.*\bFROM STDIN\b/is.test(whole.subarray(5).toString())) {
      this.copying = { sql: whole.subarray(5, -1).toString(), parts: [] };
      return this.socket.write(message('G', Buffer.from([0, 0, 0])));
    }
    if (type === 'd') return this.copying.parts.push(Buffer.from(whole.subarray(5)));
    if (type === 'c') return this.copy();
    const out = await db.execProtocolRaw(new Uint8Array(whole));
    if (type === 'Q' && /\bRESET ALL\b/.test(whole.toString())) await db.exec(PATH);
    if (out?.length) this.socket.write(out);
  }

  async begin(whole) {
    const code = whole.readUInt32BE(4);
    if (code === SSL_REQUEST) return this.socket.write('N');
    if (code === CANCEL_REQUEST) return this.socket.end();
    this.open = true;
    sessions += 1;
    this.socket.write(await db.execProtocolRaw(new Uint8Array(whole)));
  }

  async end() {
    if (!this.open) return;
    this.open = false;
    sessions -= 1;
    this.socket.end();
    if (sessions > 0) return;
    await db.exec('DISCARD ALL'); // else temporary tables would stay in the one backend
    await db.exec(PATH);
  }

  async copy() {
    const { sql, parts } = this.copying;
    this.copying = null;
    try {
      const done = await db.query(sql.replace(/FROM STDIN/i, "FROM '/dev/blob'"), [], { blob: new Blob(parts) });
      this.socket.write(Buffer.concat([message('C', text(`COPY ${done.affectedRows ?? 0}`)), ready('T')]));
    } catch (error) {
      this.socket.write(Buffer.concat([failure(error), ready('E')]));
    }
  }
}

const server = net.createServer((socket) => new Client(socket));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
