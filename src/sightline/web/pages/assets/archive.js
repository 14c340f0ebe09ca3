// A zip archive of files from the reader's disk, made in the browser: stored, not packed, since pictures are packed already.

const TABLE = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let value = n;
  for (let k = 0; k < 8; k++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  TABLE[n] = value;
}

async function checksum(file) {
  let value = 0xffffffff;
  for (const byte of new Uint8Array(await file.arrayBuffer())) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** One header: a list of [value, bytes]. */
function header(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return view.buffer;
}

/**
 * The archive of [path, File] as a Blob, by PKWARE's APPNOTE 6.3.10 without zip64: at most 65,535 files and 4 GB. The files'
 * bytes stay on disk until they are sent. `progress(done)` is told now and then. Throws an Error where it would be larger.
 */
export async function archive(entries, progress = () => {}) {
  const size = entries.reduce((sum, [, file]) => sum + file.size + 200, 0);
  if (entries.length > 65535 || size > 4e9) throw new Error("more than 65,535 files or 4 GB");
  const body = [], listing = [];
  let at = 0, listed = 0;
  for (const [n, [path, file]] of entries.entries()) {
    const name = new TextEncoder().encode(path);
    const crc = await checksum(file);
    const about = [[20, 2], [0x800, 2], [0, 2], [0, 2], [0x21, 2], [crc, 4], [file.size, 4], [file.size, 4], [name.length, 2], [0, 2]];
    const before = header([0x04034b50, 4], ...about);
    body.push(before, name, file);
    const line = header([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]);
    listing.push(line, name);
    at += before.byteLength + name.length + file.size;
    listed += line.byteLength + name.length;
    if (n % 20 === 19) progress(n + 1);
  }
  const end = header([0x06054b50, 4], [0, 2], [0, 2], [entries.length, 2], [entries.length, 2], [listed, 4], [at, 4], [0, 2]);
  return new Blob([...body, ...listing, end], { type: "application/zip" });
}

/** All files of what was dropped, folders included: [path, File]. */
export async function dropped(transfer) {
  const walk = async (entry, path) => {
    if (entry.isFile) return [[path + entry.name, await new Promise((done, fail) => entry.file(done, fail))]];
    const reader = entry.createReader(), found = [];
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return found;
      for (const one of some) found.push(...(await walk(one, `${path}${entry.name}/`)));
    }
  };
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  return (await Promise.all(roots.map((root) => walk(root, "")))).flat();
}

/** The files of a chooser, with their folders where a folder was chosen. */
export const chosen = (list) => [...list].map((file) => [file.webkitRelativePath || file.name, file]);
