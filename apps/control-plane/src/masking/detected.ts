/**
 * Texts as approvers, notifications and viewers see them: what the detectors find is shown in part.
 * Refuses to be the only line: agents mask before they send; this is for texts that were stored in clear under a key.
 */
import { maskDetected } from '@sallyport/mask';
import { DETECTORS } from '@sallyport/model';

const EVERY_DETECTOR = DETECTORS.map((detect) => ({ detect, with: 'partial' as const }));

export const hideDetected = (text: string): string => maskDetected(text, EVERY_DETECTOR).text;
