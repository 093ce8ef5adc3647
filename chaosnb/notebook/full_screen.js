// The button that lets the dashboard fill the screen, and, where the page may not do that, the window.

const WHOLE = ".chaosnb-dashboard";
const FILLED = "chaosnb-filled";

export default {
  render({ el }) {
    const button = document.createElement("button");
    button.className = "jupyter-button widget-button chaosnb-full-screen";
    const whole = () => el.closest(WHOLE);
    const filled = () => document.fullscreenElement === whole() || whole()?.classList.contains(FILLED);
    const tell = () => {
      button.textContent = filled() ? "Leave full screen" : "Full screen";
    };
    const leave = async () => {
      whole()?.classList.remove(FILLED);
      if (document.fullscreenElement) await document.exitFullscreen();
    };
    const enter = async () => {
      try {
        await whole().requestFullscreen();
      } catch {
        whole()?.classList.add(FILLED);
      }
    };
    const escape = (event) => {
      if (event.key === "Escape" && whole()?.classList.contains(FILLED)) leave().then(tell);
    };
    button.addEventListener("click", () => (filled() ? leave() : enter()).then(tell));
    document.addEventListener("fullscreenchange", tell);
    document.addEventListener("keydown", escape);
    el.append(button);
    requestAnimationFrame(tell);
    return () => {
      document.removeEventListener("fullscreenchange", tell);
      document.removeEventListener("keydown", escape);
    };
  },
};
