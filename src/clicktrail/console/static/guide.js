// Asks for the click of the guide's email until it has come.
(() => {
  const ask = async () => {
    const place = document.getElementById("arrival");
    if (!place?.dataset.ask) return;
    try {
      const answer = await fetch(place.dataset.ask);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("arrival");
      if (fresh && fresh.textContent !== place.textContent) place.replaceWith(fresh);
      else if (answer.ok && !fresh) location.reload(); // signed out
    } catch {
      // It does not answer: it is asked again.
    }
    setTimeout(ask, 1000);
  };
  setTimeout(ask, 1000);
})();
