"use strict";
// Files are sent one by one, so that each has a bar of its own and one that is refused stops nothing.
const drop = document.getElementById("drop");
if (drop) {
  const input = document.getElementById("files"), sending = document.getElementById("sending");
  const waiting = [];
  let busy = false;
  const add = (files) => { waiting.push(...files); next(); };
  input.addEventListener("change", () => { add(input.files); });
  let inside = 0;
  addEventListener("dragenter", (event) => { if (event.dataTransfer?.types.includes("Files")) { inside += 1; drop.classList.add("over"); } });
  addEventListener("dragleave", () => { inside = Math.max(0, inside - 1); if (!inside) drop.classList.remove("over"); });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    drop.classList.remove("over");
    add(event.dataTransfer.files);
  });
  function next() {
    const file = busy ? null : waiting.shift();
    if (!file) return;
    busy = true;
    const card = document.getElementById("blank-sending").content.cloneNode(true).firstElementChild;
    const bar = card.querySelector("progress"), share = card.querySelector("span");
    card.querySelector("b").textContent = file.name;
    sending.append(card);
    const failed = (node) => { bar.hidden = true; share.textContent = ""; card.classList.add("bad"); card.append(node); translate(card); };
    const done = () => { busy = false; if (!waiting.length) input.value = ""; next(); };
    if (file.size > Number(drop.dataset.limit)) {
      failed(document.getElementById("word-too-large").content.cloneNode(true));
      done();
      return;
    }
    const request = new XMLHttpRequest(), form = new FormData();
    form.append("groups", document.getElementById("groups").value);
    form.append("files", file, file.name);
    request.upload.addEventListener("progress", (event) => { bar.value = event.loaded / (event.total || 1); share.textContent = Math.round(bar.value * 100) + " %"; });
    request.addEventListener("load", () => {
      const holder = document.createElement("template");
      holder.innerHTML = request.responseText;
      if (request.status === 200) {
        card.remove();
        document.getElementById("list").replaceChildren(holder.content);
        translate(document.getElementById("list"));
        htmx.process(document.getElementById("list"));
      } else failed(holder.content.firstElementChild ?? document.getElementById("word-gone").content.cloneNode(true));
      done();
    });
    request.addEventListener("error", () => { failed(document.getElementById("word-gone").content.cloneNode(true)); done(); });
    request.open("POST", "/documents");
    request.setRequestHeader("HX-Request", "true");
    request.send(form);
  }
}
