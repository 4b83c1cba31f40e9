// Hawk, which the client for browsers signs with, was written for Node.js: these are what it takes for granted.
export { Buffer } from 'buffer';
export { default as process } from 'process/browser';
