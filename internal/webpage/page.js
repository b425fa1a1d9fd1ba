// What the scripts of the pages share. No function here makes markup of a text.

// Characters that would change how the text around them is read: controls but for tab and line feed, marks of
// direction, invisible ones, and halves of surrogate pairs.
const active = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

// visible returns the text with such characters written as \u{...}.
export function visible(text) {
  return String(text).replace(active, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
}

// make returns an element of that name and class with text in it, shown inertly, and other elements.
export function make(name, className, ...content) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...content.map((c) => (c instanceof Node ? c : visible(c))));
  return element;
}

// follow receives the events of a URL, each by the function of its name in handlers. When the connection is lost it
// calls handlers.lost, and asks for the URL that url() returns then, after a pause. It returns a function that ends it.
export function follow(url, handlers) {
  let source, timer, pause = 500, ended = false;
  const connect = () => {
    source = new EventSource(url());
    for (const name of Object.keys(handlers)) {
      if (name !== "open" && name !== "lost") source.addEventListener(name, (e) => handlers[name](e.data));
    }
    source.onopen = () => {
      pause = 500;
      handlers.open?.();
    };
    source.onerror = () => {
      source.close();
      if (ended) return;
      handlers.lost?.();
      timer = setTimeout(connect, pause);
      pause = Math.min(2 * pause, 10000);
    };
  };
  connect();
  return () => {
    ended = true;
    clearTimeout(timer);
    source.close();
  };
}
