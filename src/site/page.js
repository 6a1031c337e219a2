// Marks the installers for the visitor's own system, and puts them first. The page is complete without it.
const agent = navigator.userAgent;
const system = /Windows/.test(agent) ? "Windows" : /Mac OS/.test(agent) ? "Darwin" : /Linux|X11/.test(agent) ? "Linux" : "";
const isArm = /aarch64|arm64/i.test(agent);
const body = document.querySelector("#newest tbody");
for (const row of body ? [...body.rows].reverse() : []) {
  if (row.dataset.system !== system || (system !== "Darwin" && row.dataset.arm !== String(isArm))) continue;
  row.classList.add("yours");
  row.querySelector(".yours-note").hidden = false;
  body.prepend(row);
}
