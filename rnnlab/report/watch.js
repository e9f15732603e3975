// Ask every second whether the run has gone on; draw again only then.
(() => {
  const section = document.getElementById("explorer"),
    PAUSE = 1000;
  const progress = document.getElementById("progress"),
    bar = document.getElementById("bar");
  const seen = document.getElementById("seen");
  let version = "",
    explorer = null;
  async function ask(path) {
    const answer = await fetch(path, {cache: "no-store"}).catch(() => {
        throw new Error("rnnlab watch has ended: give the command again to go on.");
      }),
      body = await answer.json();
    if (!answer.ok) throw new Error(body.problem);
    return body;
  }
  async function look() {
    try {
      const state = await ask("state.json");
      if (state.version !== version) {
        const data = await ask("data.json");
        if (explorer) explorer.load(data);
        else explorer = await openExplorer(section, data);
        version = state.version;
        progress.textContent = `${state.done} of ${state.of} members finished`;
        bar.max = state.of; // which grows with the rounds of a comparison
        bar.value = state.done;
        document.documentElement.dataset.version = version;
        seen.textContent = `Drawn at ${new Date().toLocaleTimeString()}.`;
        if (state.finished) {
          progress.append(
            ". ",
            Object.assign(document.createElement("a"), {
              href: "report.html",
              textContent: "Open the report",
            }),
          );
          return;
        }
      }
    } catch (error) {
      seen.textContent = error.message;
      version = ""; // draw, and say so, when it answers again
    }
    setTimeout(look, PAUSE);
  }
  look();
})();
