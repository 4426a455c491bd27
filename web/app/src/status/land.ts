/**
 * A world to put dots on: where land is, roughly, drawn by hand for this page from nothing but degrees, and a flat
 * projection whose shapes are right at 35 degrees of latitude. Good for seeing which continent a dot is on.
 */

export const bounds = { west: -170, east: 190, north: 78, south: -56 };
const stretch = Math.cos((35 * Math.PI) / 180);

/** Size of the map in its own units. */
export const width = (bounds.east - bounds.west) * stretch;
export const height = bounds.north - bounds.south;

/** Degrees in, units of the map out; places outside are moved to its edge. */
export function project(lat: number, lon: number): { x: number; y: number } {
  const around = lon < bounds.west ? lon + 360 : lon;
  const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
  return {
    x: (clamp(around, bounds.west, bounds.east) - bounds.west) * stretch,
    y: bounds.north - clamp(lat, bounds.south, bounds.north),
  };
}

/** Outlines as "lon lat lon lat ...". */
const land = [
  // North and Central America
  '-168 66 -166 68 -156 71 -141 70 -128 70 -115 68 -108 68 -95 69 -85 69 -82 67 -88 64 -94 61 -94 58 -92 57 -85 55 -82 55 -82 52 -79 51 -79 54 -77 56 -78 59 -78 62 -73 62 -70 60 -69 59 -65 60 -62 57 -57 54 -56 52 -60 50 -66 50 -65 49 -64 46 -61 46 -65 44 -67 45 -70 43 -70 42 -74 41 -75 38 -76 35 -81 32 -80 27 -80 25 -82 26 -83 28 -84 30 -89 30 -91 29 -94 29 -97 27 -98 22 -96 19 -94 18 -91 18 -90 21 -87 21 -88 16 -84 16 -83 14 -84 11 -82 9 -79 9 -77 8 -80 7 -83 8 -86 10 -87 13 -91 14 -94 16 -99 17 -103 18 -106 20 -105 22 -109 26 -113 31 -115 32 -113 28 -110 23 -112 25 -114 27 -117 33 -121 35 -124 39 -124 46 -124 48 -123 49 -130 54 -136 58 -145 60 -150 59 -158 56 -164 55 -158 58 -162 59 -165 61 -161 64 -166 64',
  '-62 66 -68 63 -77 64 -73 67 -79 70 -89 70 -85 74 -76 72 -68 70',
  '-117 69 -105 69 -105 73 -117 73 -125 72 -123 71',
  '-90 76 -78 76 -70 78 -90 79',
  '-59 48 -53 47 -53 49 -56 51',
  '-85 22 -77 20 -74 20 -80 23',
  '-74 18 -68 18 -70 20 -73 20',
  // Greenland, Iceland
  '-54 66 -51 63 -48 61 -43 60 -41 63 -36 66 -24 69 -20 74 -18 79 -68 79 -68 76 -58 75 -54 71',
  '-24 65 -22 64 -18 63 -13 65 -16 66 -22 66',
  // South America
  '-77 8 -75 11 -72 12 -68 11 -62 11 -60 8 -57 6 -52 4 -50 1 -48 -1 -44 -3 -40 -3 -37 -5 -35 -6 -35 -9 -39 -14 -39 -18 -41 -22 -45 -23 -48 -26 -49 -29 -52 -32 -55 -35 -58 -34 -57 -37 -62 -39 -62 -41 -65 -41 -64 -43 -67 -46 -66 -48 -69 -51 -68 -53 -65 -55 -69 -55 -72 -54 -75 -52 -75 -47 -74 -44 -74 -40 -72 -33 -71 -30 -70 -25 -70 -18 -76 -14 -79 -8 -81 -5 -80 -3 -81 -1 -79 1 -77 4',
  // Africa, Madagascar
  '-6 36 -2 35 3 37 10 37 11 35 10 34 15 32 19 30 20 33 25 32 34 31 33 29 36 23 37 19 40 15 43 11 51 12 51 9 48 4 44 1 41 -2 39 -5 40 -8 41 -11 41 -15 37 -18 35 -20 35 -24 33 -26 32 -29 27 -34 22 -34 18 -34 18 -32 15 -27 14 -22 12 -17 14 -12 13 -9 12 -5 9 -1 10 2 9 4 7 4 4 6 -2 5 -8 4 -13 8 -15 11 -17 15 -16 18 -17 21 -13 28 -10 30 -9 32 -6 34',
  '49 -12 50 -16 47 -25 44 -25 43 -22 44 -20 44 -16 47 -15',
  // Europe and Asia
  '-9 39 -9 37 -6 37 -5 36 -2 37 0 39 3 42 3 43 6 43 9 44 12 42 16 40 16 38 18 40 16 42 12 44 12 45 14 46 15 44 19 42 20 40 21 38 23 36 24 38 23 40 26 41 26 39 27 37 31 37 36 37 35 33 34 31 35 28 39 21 43 16 43 13 45 13 52 16 55 17 60 22 56 25 54 24 51 25 48 30 50 30 53 27 57 27 58 26 62 25 67 25 68 24 70 21 73 21 73 16 76 10 78 8 80 10 80 13 82 17 87 21 89 22 92 22 94 18 95 16 97 17 99 10 100 6 103 1 104 1 103 5 100 7 99 10 100 13 102 12 105 9 107 10 109 12 109 15 106 19 108 21 110 21 114 22 117 23 120 26 122 29 121 32 119 35 122 37 118 39 121 41 122 39 125 40 126 37 126 34 129 35 129 37 128 39 130 42 135 44 140 48 141 52 135 55 142 59 149 59 155 59 160 61 163 62 157 58 156 54 157 51 160 53 162 56 164 60 170 60 177 62 180 64 188 65 190 66 180 69 175 70 160 70 150 71 140 73 130 71 127 73 114 74 112 76 104 78 95 76 81 74 80 72 74 73 69 73 67 70 68 68 60 69 53 68 44 68 44 66 40 65 35 64 33 67 41 67 33 69 28 71 23 70 16 69 12 65 10 64 5 62 5 59 8 58 11 59 13 55 16 57 17 60 21 64 22 66 25 65 21 62 21 61 25 60 29 60 28 59 24 59 24 58 21 57 21 55 16 54 11 54 11 56 10 58 8 57 9 54 5 53 3 51 -2 49 -5 48 -2 47 -1 44 -2 43 -9 43',
  // Islands of Europe
  '-5 50 1 51 2 53 -1 55 -2 58 -3 59 -5 58 -6 56 -3 54 -5 53 -5 52 -3 51',
  '-10 52 -6 52 -6 55 -8 55',
  '8 41 10 41 9 39 8 39',
  '12 38 15 38 15 37 13 37',
  '52 71 57 70 58 73 68 77 60 76 54 73',
  // Islands of Asia
  '130 31 132 33 136 33 140 35 142 39 141 41 140 39 137 37 133 36 131 34 129 33',
  '140 42 145 43 142 45 140 43',
  '142 46 144 49 143 54 142 50',
  '120 23 121 22 122 25',
  '80 10 82 7 80 6 79 8',
  '120 16 120 14 124 12 122 15 122 18 120 18',
  '122 7 126 6 126 8 125 10 123 8',
  '109 2 109 -1 111 -3 116 -4 118 1 119 5 117 7 115 5 113 3',
  '95 6 98 4 103 1 106 -3 106 -6 102 -4 98 1',
  '105 -6 108 -6 114 -7 114 -9 108 -8',
  '119 -6 120 -3 121 -1 125 2 120 1 119 -3',
  '131 -1 134 -1 135 -3 138 -2 141 -2 146 -5 148 -6 151 -11 147 -10 144 -8 142 -9 138 -8 138 -5 133 -4',
  // Australia, New Zealand
  '114 -22 113 -26 116 -32 115 -34 118 -35 124 -34 129 -32 131 -31 136 -35 138 -33 138 -36 140 -38 144 -39 146 -39 150 -37 151 -33 153 -28 153 -25 150 -22 146 -19 145 -15 142 -11 141 -14 141 -17 136 -15 137 -12 132 -11 130 -13 129 -15 126 -14 122 -17 121 -19 117 -21',
  '145 -41 148 -41 148 -43 146 -43',
  '173 -34 176 -37 178 -38 177 -40 175 -42 174 -39',
  '173 -40 174 -42 171 -46 168 -47 166 -46 170 -43',
];

/** Water within it. */
const water = [
  '28 43 28 41 32 41 35 42 38 41 42 42 39 44 37 45 33 45 33 46 31 46 29 45',
  '47 45 49 47 53 47 53 45 51 44 53 42 54 39 54 37 51 37 49 38 49 40 48 43',
  '-92 47 -88 49 -84 47 -80 46 -80 43 -83 43 -84 46 -87 42 -88 44',
];

type Point = [lon: number, lat: number];

function outline(text: string): Point[] {
  const numbers = text.split(' ').map(Number);
  const points: Point[] = [];
  for (let i = 0; i + 1 < numbers.length; i += 2) points.push([numbers[i]!, numbers[i + 1]!]);
  return points;
}

/** By the number of sides that a ray to the east crosses. */
function within(points: readonly Point[], lon: number, lat: number): boolean {
  let inside = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [x1, y1] = points[i]!;
    const [x2, y2] = points[j]!;
    if (y1 > lat !== y2 > lat && lon < ((x2 - x1) * (lat - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}

const outlines = { land: land.map(outline), water: water.map(outline) };

export function isLand(lat: number, lon: number): boolean {
  return outlines.land.some((points) => within(points, lon, lat)) && !outlines.water.some((points) => within(points, lon, lat));
}

/** Land as dots `step` units apart, as path data for a stroke with round ends. */
export function landDots(step: number): string {
  let path = '';
  for (let y = step / 2; y < height; y += step) {
    for (let x = step / 2; x < width; x += step) {
      if (isLand(bounds.north - y, bounds.west + x / stretch)) path += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
    }
  }
  return path;
}
