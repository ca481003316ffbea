// Chooses all that are shown, and says how many are chosen.
(() => {
  const all = document.getElementById("choose-all");
  if (!all) return;
  const boxes = [...all.form.querySelectorAll("input[name=id]")];
  const count = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    all.checked = chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
    document.getElementById("chosen").textContent = chosen ? `${chosen} chosen` : "";
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    count();
  });
  all.form.addEventListener("change", count);
  count();
})();
