// What the API answered, in words: the sentence of a problem (RFC 9457) with what is wrong with each field.

/** The token that the API wants from a browser session. */
export function token(root) {
  return root.querySelector("[name=csrfmiddlewaretoken]").value;
}

/** A problem as one sentence; `fallback` where the answer is none of the API's. */
export function sentence(problem, fallback) {
  if (!problem || typeof problem.detail !== "string") return fallback;
  const fields = (problem.errors || []).map((error) => `${error.pointer.replace(/^\//, "")}: ${error.detail}`);
  return [problem.detail, ...fields].join(" ");
}

/** Parse an answer's body, or null. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Say something in a live region; `kind` is success, error or empty. */
export function say(place, words, kind = "") {
  place.hidden = false;
  place.className = kind ? `notice notice-${kind}` : "notice";
  place.textContent = words;
}
