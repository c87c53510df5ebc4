// A button on each block of code that copies it: of a session with prompts the code only, without its output.
function codeOf(pre) {
  const lines = pre.textContent.replace(/\n$/, "").split("\n");
  const typed = lines.filter((line) => /^(>>>|\.\.\.)( |$)/.test(line));
  return (typed.length ? typed.map((line) => line.slice(4)) : lines).join("\n");
}

const [COPY, COPIED] = document.documentElement.lang.startsWith("zh") ? ["复制", "已复制"] : ["Copy", "Copied"];

document.addEventListener("DOMContentLoaded", () => {
  for (const pre of document.querySelectorAll("div.highlight > pre")) {
    if (pre.closest(".highlight-text, .highlight-none, .sphx-glr-script-out")) continue; // output, not code
    const button = document.createElement("button");
    button.className = "copy-code";
    button.type = "button";
    button.textContent = COPY;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(codeOf(pre));
      button.textContent = COPIED;
      setTimeout(() => (button.textContent = COPY), 2000);
    });
    pre.parentElement.append(button);
  }
});
