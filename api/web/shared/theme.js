// Light or dark, before anything is drawn: loaded as the first script of each page's head.
// "auto" follows the system; a choice is kept in this browser.
const KEY = "hotline.theme";
const CHOICES = ["auto", "light", "dark"];

function kept() {
  try {
    const value = localStorage.getItem(KEY);
    return CHOICES.includes(value) ? value : "auto";
  } catch {
    return "auto"; // storage is forbidden: the choice lasts as long as the page
  }
}

function show(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

let now = kept();
show(now);

export function theme() {
  return now;
}

export function setTheme(value) {
  now = value;
  show(value);
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // as above
  }
  dispatchEvent(new CustomEvent("hotline:theme", { detail: value }));
}

export function nextTheme() {
  setTheme(CHOICES[(CHOICES.indexOf(now) + 1) % CHOICES.length]);
}
