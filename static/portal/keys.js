// Private keys (PKCS#8, RFC 5958) and certificates (X.509, RFC 5280), as far as signing with them needs: a small DER reader,
// the kind of a key by its OID, and signing with WebCrypto. Nothing here sends anything.

/** Something that a person has to be told; `reason` names the sentence. */
export class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

const RSA = "2a864886f70d010101";
const RSA_PSS = "2a864886f70d01010a";
const EC = "2a8648ce3d0201";
const P256 = "2a8648ce3d030107";
const ED25519 = "2b6570";

const KINDS = {
  [RSA]: { import: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, sign: { name: "RSASSA-PKCS1-v1_5" } },
  [RSA_PSS]: { import: { name: "RSA-PSS", hash: "SHA-256" }, sign: { name: "RSA-PSS", saltLength: 32 } },
  [EC]: { import: { name: "ECDSA", namedCurve: "P-256" }, sign: { name: "ECDSA", hash: "SHA-256" } },
  [ED25519]: { import: { name: "Ed25519" }, sign: { name: "Ed25519" } },
};

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The element that starts at `at`: its tag, its content, and all of its bytes. */
function element(bytes, at) {
  let length = bytes[at + 1];
  let start = at + 2;
  if (length & 0x80) {
    const count = length & 0x7f;
    if (count < 1 || count > 4) throw new Refused("badkey");
    length = 0;
    for (let index = 0; index < count; index += 1) length = length * 256 + bytes[start + index];
    start += count;
  }
  const end = start + length;
  if (!(end <= bytes.length)) throw new Refused("badkey");
  return { tag: bytes[at], content: bytes.subarray(start, end), whole: bytes.subarray(at, end), next: end };
}

function children(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const child = element(bytes, at);
    found.push(child);
    at = child.next;
  }
  return found;
}

function wrap(tag, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const size = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) size.unshift(rest % 256);
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | size.length, ...size];
  const all = new Uint8Array(head.length + length);
  all.set(head);
  let at = head.length;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The kind of key that an AlgorithmIdentifier names, and the identifier that WebCrypto knows. */
function algorithm(identifier) {
  const [oid, parameters] = children(identifier.content);
  const name = hex(oid.content);
  if (!(name in KINDS)) throw new Refused("otherkind");
  if (name === EC && (!parameters || hex(parameters.content) !== P256)) throw new Refused("otherkind");
  // WebCrypto takes a key for RSA-PSS only under the plain RSA identifier.
  const plain = wrap(0x30, wrap(0x06, Uint8Array.from(RSA.match(/../g), (pair) => parseInt(pair, 16))), [0x05, 0x00]);
  return { kind: KINDS[name], name, identifier: name === RSA_PSS ? plain : identifier.whole };
}

function decoded(base64, reason) {
  try {
    return Uint8Array.from(atob(base64.replace(/\s+/g, "")), (char) => char.charCodeAt(0));
  } catch {
    throw new Refused(reason);
  }
}

export function base64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Base64 that a person pasted, as bytes. Throws Refused(reason). */
export function pastedBytes(text, reason) {
  return decoded(text.replace(/-----[^-]+-----/g, ""), reason);
}

/** Read a private key from a PEM file. Throws Refused. */
export function readKey(text) {
  if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(text)) throw new Refused("encrypted");
  if (/BEGIN (RSA|EC|DSA|OPENSSH) PRIVATE KEY/.test(text)) throw new Refused("oldformat");
  const found = /-----BEGIN PRIVATE KEY-----([^-]+)-----END PRIVATE KEY-----/.exec(text);
  if (!found) throw new Refused("badkey");
  const outer = element(decoded(found[1], "badkey"), 0);
  const [, identifier, secret] = children(outer.content);
  if (outer.tag !== 0x30 || !secret || secret.tag !== 0x04) throw new Refused("badkey");
  const known = algorithm(identifier);
  return { kind: known.kind, pkcs8: wrap(0x30, [0x02, 0x01, 0x00], known.identifier, secret.whole) };
}

/** Read a certificate from a PEM or DER file: what to send, and its public key. Throws Refused. */
export function readCertificate(bytes) {
  const text = new TextDecoder("latin1").decode(bytes);
  const pem = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/.exec(text);
  if (!pem && text.includes("-----BEGIN")) throw new Refused("badcertificate");
  const der = pem ? decoded(pem[1], "badcertificate") : bytes;
  try {
    const [tbs] = children(element(der, 0).content);
    const fields = children(tbs.content).filter((field) => field.tag !== 0xa0); // version is optional and comes first
    const key = fields[5]; // serial number, signature, issuer, validity, subject, key
    const [identifier, value] = children(key.content);
    const known = algorithm(identifier);
    return { send: pem ? text : base64(der), kind: known.kind, spki: wrap(0x30, known.identifier, value.whole) };
  } catch (error) {
    throw error instanceof Refused && error.reason === "otherkind" ? error : new Refused("badcertificate");
  }
}

/** An integer of DER: no leading zeros, and one where the first bit is set. */
function integer(bytes) {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const value = bytes.subarray(start);
  return wrap(0x02, value[0] & 0x80 ? [0] : [], value);
}

/** ECDSA as WebCrypto gives it (r and s side by side) to what X.509 people exchange (RFC 3279, section 2.2.3). */
export function ecdsaToDer(raw) {
  const half = raw.length / 2;
  return wrap(0x30, integer(raw.subarray(0, half)), integer(raw.subarray(half)));
}

/** Sign bytes. Checks that the key belongs to the certificate before anything is sent. Throws Refused. */
export async function sign(key, certificate, body) {
  let secret;
  let open;
  try {
    secret = await crypto.subtle.importKey("pkcs8", key.pkcs8, key.kind.import, false, ["sign"]);
    open = await crypto.subtle.importKey("spki", certificate.spki, certificate.kind.import, false, ["verify"]);
  } catch (error) {
    throw new Refused(error.name === "NotSupportedError" ? "nosupport" : "badkey");
  }
  if (key.kind.import.name.slice(0, 3) !== certificate.kind.import.name.slice(0, 3)) throw new Refused("mismatch");
  const raw = new Uint8Array(await crypto.subtle.sign(key.kind.sign, secret, body));
  if (key.kind === certificate.kind && !(await crypto.subtle.verify(key.kind.sign, open, raw, body))) {
    throw new Refused("mismatch");
  }
  return key.kind.import.name === "ECDSA" ? ecdsaToDer(raw) : raw;
}
