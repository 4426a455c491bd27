/** The lines of latitude and longitude of a globe seen from above one place, as SVG path data. */

type Point = { x: number; y: number; front: boolean };

/** Degrees in; a point on a disc of radius 1 around the origin, y downwards. */
export function project(lat: number, lon: number, centreLat: number, centreLon: number): Point {
  const radians = Math.PI / 180;
  const phi = lat * radians;
  const phi0 = centreLat * radians;
  const lambda = (lon - centreLon) * radians;
  return {
    x: Math.cos(phi) * Math.sin(lambda),
    y: -(Math.cos(phi0) * Math.sin(phi) - Math.sin(phi0) * Math.cos(phi) * Math.cos(lambda)),
    front: Math.sin(phi0) * Math.sin(phi) + Math.cos(phi0) * Math.cos(phi) * Math.cos(lambda) >= 0,
  };
}

/** Meridians and parallels every `step` degrees, front side only, scaled to `radius`. */
export function graticule(centreLat: number, centreLon: number, radius: number, step = 30): string {
  const lines: string[] = [];
  for (let lon = -180; lon < 180; lon += step) {
    lines.push(line((t) => project(-90 + t * 180, lon, centreLat, centreLon), radius));
  }
  for (let lat = -90 + step; lat < 90; lat += step) {
    lines.push(line((t) => project(lat, -180 + t * 360, centreLat, centreLon), radius));
  }
  return lines.filter(Boolean).join('');
}

/** The equator alone, to be drawn stronger. */
export function equator(centreLat: number, centreLon: number, radius: number): string {
  return line((t) => project(0, -180 + t * 360, centreLat, centreLon), radius);
}

function line(at: (t: number) => Point, radius: number): string {
  const parts = 60;
  let path = '';
  let pen = false;
  for (let i = 0; i <= parts; i++) {
    const point = at(i / parts);
    if (point.front) path += `${pen ? 'L' : 'M'}${(point.x * radius).toFixed(1)} ${(point.y * radius).toFixed(1)}`;
    pen = point.front;
  }
  return path;
}
