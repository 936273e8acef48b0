// What every page does: ages that stay current, steppers, copying, notices, and errors in words.
"use strict";

const MINUTE = 60, HOUR = 3600, DAY = 86400;

// The same words as dashboard/formats.py.
function age(then, now) {
  const seconds = Math.floor((now - then) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < MINUTE) return `${seconds} s ago`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  if (seconds < 14 * DAY) return `${inDays(seconds)} ago`;
  return new Date(then).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}

function inDays(seconds) {
  const days = Math.floor(seconds / DAY);
  return `${days} day${days > 1 ? "s" : ""}`;
}

function span(then, now) {
  const seconds = Math.floor((now - then) / 1000);
  return seconds >= DAY ? inDays(seconds) : age(then, now).replace(/ ago$/, "").replace("just now", "a moment");
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function refreshTimes() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-ago]")) setText(time, age(Date.parse(time.dateTime), now));
  for (const time of document.querySelectorAll("time[data-span]")) setText(time, span(Date.parse(time.dateTime), now));
  for (const time of document.querySelectorAll("time[data-running]")) {
    const seconds = Math.max(0, Math.floor((now - Date.parse(time.dateTime)) / 1000));
    setText(time, seconds < MINUTE ? `${seconds} s` : `${Math.floor(seconds / MINUTE)} min ${seconds % MINUTE} s`);
  }
}

function notify(text, bad) {
  const notice = document.createElement("p");
  notice.className = bad ? "notice bad" : "notice";
  notice.textContent = text;
  document.getElementById("notices").append(notice);
  setTimeout(() => notice.remove(), bad ? 12000 : 6000);
}

function step(button) {
  const input = button.parentElement.querySelector("input[type=number]");
  const wanted = (Number(input.value) || 0) + Number(button.dataset.step);
  input.value = Math.min(Math.max(wanted, Number(input.min)), Number(input.max));
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    setText(button, "Copied");
    setTimeout(() => setText(button, "Copy"), 2000);
  } catch {
    // The clipboard is closed to pages over plain HTTP: select it, so that one key press copies.
    getSelection().selectAllChildren(source);
    notify("Selected. Press Ctrl+C (or ⌘C) to copy.");
  }
}

document.addEventListener("click", (event) => {
  const stepper = event.target.closest("[data-step]");
  if (stepper) step(stepper);
  const copier = event.target.closest("[data-copy]");
  if (copier) copy(copier);
  for (const open of document.querySelectorAll("details.confirm[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.confirm[open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// A new try clears what the last one said.
document.addEventListener("htmx:beforeRequest", (event) => {
  const form = event.target.closest("form");
  if (form) form.querySelector(".problem")?.replaceChildren();
});

// An error that names a place is shown there; what the user typed stays.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.getResponseHeader("HX-Retarget")) event.detail.shouldSwap = true;
});

document.addEventListener("htmx:responseError", (event) => {
  const xhr = event.detail.xhr;
  const told = ["HX-Retarget", "HX-Trigger", "HX-Redirect"].some((name) => xhr.getResponseHeader(name));
  if (told) return;
  if (xhr.status === 403) notify("This page was open for too long: reload it and try again. Nothing was changed.", true);
  else if (xhr.status >= 500) notify("Something broke on the platform's side. Your apps keep running; try again.", true);
  else notify(`That did not work (${xhr.status}). Reload the page and try again.`, true);
});

function online(yes) {
  document.getElementById("offline").hidden = yes;
}
document.addEventListener("htmx:sendError", () => online(false));
document.addEventListener("htmx:timeout", () => online(false));
document.addEventListener("htmx:afterOnLoad", () => online(true));

document.addEventListener("notice", (event) => notify(event.detail.value));
document.addEventListener("problem", (event) => notify(event.detail.value, true));
document.addEventListener("htmx:afterSettle", (event) => {
  refreshTimes();
  const asked = event.target.querySelector?.("[data-focus]") ?? (event.target.matches?.("[data-focus]") ? event.target : null);
  if (asked) {
    asked.removeAttribute("data-focus");
    asked.focus();
  }
});

refreshTimes();
setInterval(refreshTimes, 1000);
