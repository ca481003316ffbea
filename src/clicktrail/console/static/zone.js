// Tells the service the reader's time zone, in which it shows days and times.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const told = document.documentElement.dataset.zone; // none where nobody is signed in
  if (!zone || zone === (told || "UTC")) return;
  document.cookie = `clicktrail_zone=${zone}; path=/; max-age=31536000; samesite=lax` + (location.protocol === "https:" ? "; secure" : "");
  if (told !== undefined && document.cookie.includes(`clicktrail_zone=${zone}`)) location.reload();
})();
