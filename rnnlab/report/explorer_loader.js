// The explorer's program and data are unpacked when the reader comes to them.
async function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
async function openExplorer(section, data) {
  if (!window.rnnlabExplorer) {
    const script = document.createElement("script");
    script.textContent = await unpacked(section.dataset.program);
    document.head.append(script);
  }
  return window.rnnlabExplorer.open(
    section,
    data ?? JSON.parse(await unpacked(section.dataset.members)),
  );
}
for (const section of document.querySelectorAll(".explorer[data-members]")) {
  const button = section.querySelector(".explorer-open");
  const open = () => {
    seen.disconnect();
    if ("opening" in section.dataset) return;
    section.dataset.opening = "";
    if (window.DecompressionStream) openExplorer(section);
    else
      button.replaceWith(
        "This browser is too old for the explorer: any of 2023 or later opens it.",
      );
  };
  const seen = new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting)) open();
  });
  seen.observe(section);
  button.addEventListener("click", open);
}
