'use strict';

// renderLabel makes the text or the printer commands of a parcel's label.
function renderLabel(parcel, format) {
  const code = barcode(parcel.id, parcel.grams);
  return format === 'zpl' ? renderZPL(parcel, code) : renderPlain(parcel, code);
}

function renderPlain({ id, customer, grams, address }, code) {
  const lines = [
    center(address.name, 40),
    center(address.street ?? '', 40),
    center(address.city.toUpperCase(), 40),
    '-'.repeat(40),
    `${id.padEnd(20)}${(grams / 1000).toFixed(2).padStart(17)} kg`,
    `from ${customer}`,
    bars(code),
    center(code, 40),
  ];
  return lines.join('\n') + '\n';
}

function renderZPL({ address, grams }, code) {
  return `^XA^FO50,50^FD${address.name}^FS^FO50,90^FD${address.city}^FS^FO50,130^FD${grams}g^FS^FO50,200^BC^FD${code}^FS^XZ\n`;
}

function center(text, width) {
  return text.padStart((width + text.length) >> 1).padEnd(width);
}

// barcode is the number under the bars, with its check digit.
function barcode(id, grams) {
  const digits = (id.slice(1) + String(grams)).padStart(18, '0').slice(-18);
  let sum = 0;
  for (let i = 0; i < digits.length; i++) sum += Number(digits[i]) * (i % 2 === 0 ? 3 : 1);
  return digits + ((10 - (sum % 10)) % 10);
}

function bars(code) {
  let out = '';
  for (const digit of code) out += '|'.repeat(1 + (Number(digit) & 3)) + ' '.repeat(1 + (Number(digit) >> 3));
  return out;
}

module.exports = { renderLabel };
