"use strict";
// The key goes to the server once; what stays is a cookie that scripts cannot read.
const form = document.getElementById("login");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const wrong = document.getElementById("wrong");
  wrong.hidden = true;
  const response = await fetch("/v1/session", { method: "POST", body: new URLSearchParams({ key: form.key.value.trim() }) });
  if (response.ok) location.assign(form.dataset.to);
  else { wrong.hidden = false; form.key.select(); }
});
