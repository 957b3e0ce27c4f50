/** `npm run fix`: repairs format, import order and what the linter can repair safely. */
import { runTool } from './run-tool.ts';

const lint = await runTool('oxlint', ['--fix']);
const format = await runTool('biome', ['check', '--write', '.']);
process.exit(lint === 0 && format === 0 ? 0 : 1);
