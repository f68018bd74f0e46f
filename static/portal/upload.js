// Sends a document to the API with its progress, and compares the digest of what arrived with that of the file here.

import { parsed, say, sentence, token } from "./answer.js";

const form = document.querySelector("form[data-upload]");
const words = form.dataset;
const place = form.querySelector("[data-said]");
const bar = form.querySelector("progress");
const button = form.querySelector("button");
const kind = form.querySelector("[name=document_type]");
const earlier = form.querySelector("[name=supersedes]");

// A new version is of the same type as the one before.
earlier.addEventListener("change", () => {
  const type = earlier.selectedOptions[0].dataset.type;
  if (type) kind.value = type;
  kind.disabled = Boolean(type);
});

async function digest(file) {
  const hash = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function send(file, sha256) {
  const address = new URL(form.dataset.upload, location.href);
  address.searchParams.set("type", kind.value);
  if (earlier.value) address.searchParams.set("supersedes", earlier.value);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
    request.open("POST", address);
    request.setRequestHeader("X-CSRFToken", token(form));
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.setRequestHeader("X-File-Sha256", sha256);
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      bar.value = (event.loaded / event.total) * 100;
      if (event.loaded === event.total) say(place, words.sayChecking);
      else say(place, `${words.saySending} ${Math.floor(bar.value)} %`);
    };
    request.onload = () => resolve({ status: request.status, body: parsed(request.responseText) });
    request.onerror = () => reject(new Error("lost"));
    request.send(file);
  });
}

async function upload(file) {
  say(place, words.sayReading);
  const sha256 = await digest(file);
  bar.value = 0;
  bar.hidden = false;
  const answer = await send(file, sha256);
  if (answer.status !== 201) {
    // A page instead of a problem: the session is over, and signing in was shown to nobody.
    return say(place, sentence(answer.body, answer.status < 500 ? words.saySignedout : words.sayLost), "error");
  }
  if (answer.body.sha256 !== sha256) return say(place, words.sayDiffers, "error");
  say(place, words.sayDone, "success");
  location.reload();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = form.querySelector("[name=file]").files[0];
  if (!file) return say(place, words.sayChoose, "error");
  if (!globalThis.crypto?.subtle) return say(place, words.sayInsecure, "error");
  button.disabled = true;
  try {
    await upload(file);
  } catch {
    say(place, words.sayLost, "error");
  } finally {
    bar.hidden = true;
    button.disabled = false;
  }
});
