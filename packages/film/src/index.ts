export { type AsciicastOptions, AsciicastWriter, endText } from './asciicast.ts';
export { CommandList, type FilmCommand } from './commands.ts';
export { EchoedLine, type EnteredLine } from './echoed-line.ts';
export { type FilmFrame, isFilmFrame } from './film-frame.ts';
export { InputTrack } from './input-track.ts';
export { SafeScreen, SCREEN_RESET } from './safe-screen.ts';
