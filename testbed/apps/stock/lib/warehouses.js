'use strict';

// rankWarehouses compares every warehouse with every other: the mistake.
function rankWarehouses(item) {
  const distances = [];
  for (let i = 0; i < 2500; i++) {
    distances.push((i * 7919 + item * 104729) % 100003);
  }
  const ranks = new Array(distances.length).fill(0);
  for (let i = 0; i < distances.length; i++) {
    for (let j = 0; j < distances.length; j++) {
      if (distances[j] < distances[i] || (distances[j] === distances[i] && j < i)) ranks[i]++;
    }
  }
  return ranks;
}

exports.rankWarehouses = rankWarehouses;
