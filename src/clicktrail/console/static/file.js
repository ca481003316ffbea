// Reads a text file into the field that its input names, to be looked at before it is sent.
(() => {
  for (const input of document.querySelectorAll("input[data-into]")) {
    input.closest("label").hidden = false;
    input.addEventListener("change", async () => {
      const [file] = input.files;
      if (file) input.form.elements[input.dataset.into].value = await file.text();
    });
  }
})();
