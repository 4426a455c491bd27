/** SVG elements, and bringing what is shown up to date without taking focus and open details away. */

type Attributes = Record<string, string | number | boolean | undefined>;

/** An SVG element; true is an empty attribute, false and undefined leave it out. */
export function s(tag: string, attributes: Attributes = {}, ...children: (Element | string | undefined | false)[]): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children.filter((child): child is Element | string => child !== undefined && child !== false));
  return element;
}

/**
 * Makes `shown` look like `wanted`: elements that are of one kind, and of one data-key, stay and are changed; their
 * listeners stay too, so these may use nothing that another picture of the page would have otherwise.
 */
export function morph(shown: Element, wanted: Element): void {
  for (const { name } of [...shown.attributes]) if (!wanted.hasAttribute(name) && !(name === 'open' && shown.tagName === 'DETAILS')) shown.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  if (shown instanceof HTMLInputElement || shown instanceof HTMLSelectElement) {
    const value = (wanted as HTMLInputElement).value;
    if (document.activeElement !== shown && shown.value !== value) shown.value = value;
  }
  const keyed = new Map<string, Element>();
  for (const child of shown.children) if (child instanceof Element && keyOf(child)) keyed.set(keyOf(child), child);
  let at: ChildNode | null = shown.firstChild;
  for (const next of [...wanted.childNodes]) {
    const key = next instanceof Element ? keyOf(next) : '';
    const same = key ? keyed.get(key) : at && !(at instanceof Element && keyOf(at)) ? at : undefined;
    if (same && alike(same, next)) {
      if (same === at) at = at.nextSibling;
      else shown.insertBefore(same, at);
      if (same instanceof Element) morph(same, next as Element);
      else if (same.nodeValue !== next.nodeValue) same.nodeValue = next.nodeValue;
    } else {
      shown.insertBefore(next, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function keyOf(element: Element): string {
  return element.getAttribute('data-key') ?? '';
}

function alike(a: Node, b: Node): boolean {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (!(a instanceof Element) || keyOf(a) === keyOf(b as Element));
}
