// The signing page: reads the chosen files, signs here with WebCrypto, and sends the signature and the certificate, never the key.

import { parsed, say, sentence, token } from "./answer.js";
import { Refused, base64, pastedBytes, readCertificate, readKey, sign } from "./keys.js";

const MAX_SIGNATURE = 8192;
const root = document.querySelector("[data-signing]");

function words(reason) {
  return root.dataset[`say${reason[0].toUpperCase()}${reason.slice(1)}`];
}

function tell(reason, kind) {
  say(root.querySelector("[data-said]"), words(reason), kind);
}

function chosen(id, reason) {
  const file = root.querySelector(`#${id}`).files[0];
  if (!file) throw new Refused(reason);
  return file;
}

async function certificateOf(id) {
  const file = chosen(id, "nocertificate");
  return readCertificate(new Uint8Array(await file.arrayBuffer()));
}

/** The document's bytes, checked against the digest on the page. */
async function content() {
  tell("fetching");
  const answer = await fetch(root.dataset.content);
  if (answer.redirected) throw new Refused("signedout");
  if (!answer.ok) throw new Refused("lost");
  const body = await answer.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== root.dataset.sha256) throw new Refused("changed");
  return body;
}

async function signedHere() {
  if (!globalThis.crypto?.subtle) throw new Refused("insecure");
  const key = readKey(await chosen("key", "nokey").text());
  const certificate = await certificateOf("certificate");
  const body = await content();
  tell("signing");
  return { signature: await sign(key, certificate, body), certificate };
}

async function signedElsewhere() {
  const pasted = root.querySelector("#pasted").value.trim();
  const file = root.querySelector("#made").files[0];
  if (!pasted && !file) throw new Refused("nosignature");
  let signature = pasted ? pastedBytes(pasted, "badsignature") : new Uint8Array(await file.arrayBuffer());
  const text = new TextDecoder("latin1").decode(signature);
  if (!pasted && /^[A-Za-z0-9+/=\s]+$/.test(text) && text.length > 40) signature = pastedBytes(text, "badsignature");
  if (signature.length === 0 || signature.length > MAX_SIGNATURE) throw new Refused("badsignature");
  return { signature, certificate: await certificateOf("certificate-too") };
}

async function send({ signature, certificate }) {
  tell("sending");
  const answer = await fetch(root.dataset.to, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": token(root),
      Accept: "application/json",
      "Accept-Language": document.documentElement.lang,
    },
    body: JSON.stringify({
      document_id: root.dataset.document,
      signature_data: base64(signature),
      certificate: certificate.send,
    }),
  });
  const body = parsed(await answer.text());
  if (answer.status === 201) {
    tell("done", "success");
    setTimeout(() => location.assign(root.dataset.then), 1200);
    return;
  }
  const code = body?.verification_result?.sub_indication;
  const reason = code && root.querySelector(`[data-reasons] [data-code="${CSS.escape(code)}"]`);
  const said = sentence(body, words("lost"));
  say(root.querySelector("[data-said]"), reason ? `${said} ${reason.textContent}` : said, "error");
}

for (const form of root?.querySelectorAll("form[data-way]") ?? []) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = root.querySelectorAll("form[data-way] button");
    for (const button of buttons) button.disabled = true;
    tell("reading");
    try {
      await send(await (form.dataset.way === "here" ? signedHere() : signedElsewhere()));
    } catch (error) {
      tell(error instanceof Refused ? error.reason : "lost", "error");
    } finally {
      for (const button of buttons) button.disabled = false;
      root.querySelector("[data-said]").scrollIntoView({ block: "center" });
    }
  });
}
