// Written by js/make-palettes.mjs: 33 colours each, red green blue as base64. Do not edit.

export const divergingLight =
  "GESMIFCZKV2mMmqzO3fARYTNUpHYZJ7gdqvniLjumcX1q9P9vNz+zeX/3u7/7vb///////Xq/uvW/uHB/der+8uW9r2E8a5y7J9f5pBM4IE21HQoxWcjt1seqE8ZmkMUjDcQ";
export const divergingDark =
  "jt7+fs72br/vXq/nT6DgP5DYNILMMna6MGqoLV6XKlKGJ0d1Jj5jJDZSIy5BISYwHh4gLSQhPCkhSy0hWzIfazcefEEfjUsgnlUgsF8gw2ke0Hkp2Ys7455L67Fa9MNq/NZ5";
export const sequentialLight =
  "////+vzw9vjh8fXR7fLC6e6y4uql0uWjw+GhstyfotedkdKbf82Za8iXVcKVRbuVO7KWMKqXJaGYF5iYApCZAIaYAH2WAHSTAGuRD2GMHVeGJE2AKUN6LDl0LS9tLiRnLhlh";
export const sequentialDark =
  "Hh4gIyEqKCQ1LSc/MipKNyxUPS9fQjFqSDN2Rzx8RUWBQk2HPlaNOF6TMGeZJW+fEXilF4GkHYujJJWiK56gMqieObGcQLuZR8SWZcqTfdCQk9WMp9uHu+CDzeV94Op28u9v";
